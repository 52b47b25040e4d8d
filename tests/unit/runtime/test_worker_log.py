"""Output of a worker's hooks, as entries of Triton's log."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from naiad.triton.log_entries import LogEvent
from naiad.triton.logs import LogFollower

CODE = """
import logging, sys, warnings
from naiad.runtime.worker_log import log_as
log_as("m")
print("two\\nlines", end="")
print()
print("no end", end="", flush=True)
sys.stderr.write("\\udcff\\n")
sys.stdout.buffer.write(b"bytes\\n"); sys.stdout.flush()
logging.getLogger("mine").info("not shown")
warnings.warn("careful")
try:
    raise ZeroDivisionError("no")
except ZeroDivisionError:
    logging.getLogger("mine").exception("failed")
import ctypes
ctypes.string_at(0)
"""


def test_prints_warnings_errors_and_crashes_are_entries(tmp_path: Path) -> None:
    (tmp_path / "my.py").write_text(CODE)
    with (tmp_path / "log").open("wb") as log:
        done = subprocess.run(
            [sys.executable, tmp_path / "my.py"], stdout=log, stderr=log, check=False
        )
    assert done.returncode == -11
    *events, crash = LogFollower(tmp_path / "log").rest()
    assert events == [
        LogEvent("printed", "two\nlines", "m"),
        LogEvent("printed", "no end", "m"),
        LogEvent("printed", "\\udcff", "m"),
        LogEvent("printed", "bytes", "m"),
        LogEvent(
            "warning",
            f'{tmp_path}/my.py:11: UserWarning: careful\n  warnings.warn("careful")',
            "m",
        ),
        LogEvent(
            "error",
            f'failed\nTraceback (most recent call last):\n  File "{tmp_path}/my.py", line 13, in '
            '<module>\n    raise ZeroDivisionError("no")\nZeroDivisionError: no',
            "m",
        ),
    ]
    assert crash.text.startswith("Fatal Python error: Segmentation fault")
    assert f'File "{tmp_path}/my.py", line 17 in <module>' in crash.text
