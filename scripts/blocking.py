"""Write the blocking clients from the asyncio ones: ``client.py`` beside each ``aio.py``.

    python scripts/blocking.py

Both have the same text, except for the words of asyncio. Run this after each change of a source; a
test compares them.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

SOURCES = sorted((Path(__file__).parents[1] / "src" / "naiad").rglob("aio.py"))

_RULES = [
    # Sentences that differ.
    (r"The asyncio client(.*), and the source of the blocking one\.", r"The blocking client\1."),
    (r"server, for asyncio\.", "server; safe to share between threads."),
    (r" +It connects anew in each event loop.*\n\n", ""),
    # Names and keywords.
    (r"import (Requests|Source), ", "import "),
    (r": Requests\b", ": Iterable[Inputs]"),
    (r"\bSource\[", "Iterable["),
    (r"AsyncGenerator\[(.*), None\]", r"Generator[\1, None, None]"),
    (r"from collections\.abc import ", "from collections.abc import Iterable, "),
    (r"import asyncio", "import time"),
    (r"asyncio\.sleep", "time.sleep"),
    (r"\.aio import", ".client import"),
    (r"\baclosing", "closing"),
    (r"(?<!\w)\(await ([^()]+(?:\([^()]*\))?)\)", r"\1"),
    (r"\basync (?=def|with|for)|\bawait ", ""),
    (r"__a(?=enter__|exit__)", "__"),
    (r"\bAsync(?=[A-Z])|_(async|aio)\b", ""),
]
_RUFF = [sys.executable, "-m", "ruff"]
_FIXES = "I,F401,C416,SIM117,UP028"  # what the words of asyncio stood in the way of


def blocking(source: Path) -> str:
    """Return the text of the blocking module made from ``source``."""
    text = source.read_text("utf-8")
    for pattern, replacement in _RULES:
        text = re.sub(pattern, replacement, text)
    head, summary, rest = text.partition('"""\n')
    text = f"{head}{summary}\n# Made from {source.name} by scripts/blocking.py: edit that.\n{rest}"
    name = ["--stdin-filename", str(source.with_name("client.py")), "-"]
    for step in (["check", "-q", "--fix-only", "--unsafe-fixes", "--select", _FIXES], ["format"]):
        done = subprocess.run(
            [*_RUFF, *step, *name], input=text, capture_output=True, text=True, check=True
        )
        text = done.stdout
    return text


if __name__ == "__main__":
    for path in SOURCES:
        path.with_name("client.py").write_text(blocking(path), "utf-8")
