"""Write the blocking client from the asyncio one.

    python scripts/blocking.py

Both have the same text, except for the words of asyncio. A line with ``# blocking: CODE`` becomes
that code in the blocking client. Run this after each change of a source; a test compares them.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

CLIENT = Path(__file__).parents[1] / "src" / "naiad" / "client"
TARGETS = {"client.py": "aio.py", "typed.py": "typed_aio.py"}

_RULES = [
    (r"(\S.*  )?# blocking: ", ""),
    # Sentences that differ.
    (
        r"The asyncio (client|clients).*, and the source of the blocking ones?\.",
        r"The blocking \1.",
    ),
    (r", for the asyncio event loop of its first call", "; safe to share between threads"),
    (
        r"is an `AsyncModelClient` of the model ``NAME``\.",
        "is the model ``NAME``: the typed client of its application where Naiad has\n"
        "    one (``client.nugraph3``), else a `ModelClient`.",
    ),
    (r"(__getattr__\(self, name: str\)) -> AsyncModelClient", r"\1 -> Any"),
    # Names and keywords.
    (r"import (Requests|Source), ", "import "),
    (r": Requests\b", ": Iterable[Mapping[str, ArrayLike]]"),
    (r"\bSource\[", "Iterable["),
    (
        r"from collections\.abc import AsyncIterator",
        "from collections.abc import Iterable, Iterator",
    ),
    (r"import asyncio", "import time"),
    (r"asyncio\.sleep", "time.sleep"),
    (r"naiad\.client\.aio", "naiad.client.client"),
    (r"\basync (?=def|with|for)|\bawait ", ""),
    (r"__a(?=enter__|exit__)", "__"),
    (r"\bAsync(?=[A-Z])|_(async|aio)\b", ""),
]
_RUFF = [sys.executable, "-m", "ruff"]


def blocking(source: Path, target: Path) -> str:
    """Return the text of the blocking module ``target``."""
    text = source.read_text("utf-8")
    for pattern, replacement in _RULES:
        text = re.sub(pattern, replacement, text)
    head, summary, rest = text.partition('"""\n')
    text = f"{head}{summary}\n# Made from {source.name} by scripts/blocking.py: edit that.\n{rest}"
    name = ["--stdin-filename", str(target), "-"]
    for step in (["check", "--quiet", "--fix-only", "--select", "I,F401"], ["format"]):
        done = subprocess.run(
            [*_RUFF, *step, *name], input=text, capture_output=True, text=True, check=True
        )
        text = done.stdout
    return text


if __name__ == "__main__":
    for target, source in TARGETS.items():
        (CLIENT / target).write_text(blocking(CLIENT / source, CLIENT / target), "utf-8")
