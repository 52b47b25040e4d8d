"""Cells that are run by IPython in a process of its own, as in a notebook."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_RUN = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance()
shell.showtraceback = lambda *args, **named: None
sys.modules["__main__"] = shell.user_module
for cell in json.load(sys.stdin):
    done = shell.run_cell(cell, store_history=True)
    error = done.error_before_exec or done.error_in_exec
    if error is not None:
        print(f"{type(error).__name__}: {error}")
"""


def run_cells(cells: Sequence[str], folder: Path) -> str:
    """Return what the cells print, and the errors that they raise, without tracebacks."""
    done = subprocess.run(
        [sys.executable, "-c", _RUN],
        input=json.dumps([*cells]),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "IPYTHONDIR": str(folder / ".ipython")},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
