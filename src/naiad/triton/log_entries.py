"""Entries of Triton's log, and the events that they stand for.

A line of the log is ``I1121 01:43:28.121897 7160 model_lifecycle.cc:472] "loading: gat:1"``;
output of Python models comes between such lines. The patterns are those of Triton 2.51.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

FOREIGN: Final = re.compile(r"\[\x1b\[")
"""Lines of libevhtp, Triton's HTTP server, in the middle of entries."""

Kind = Literal[
    "loading",
    "ready",
    "failed",
    "unloaded",
    "reloaded",
    "not reloaded",
    "listening",
    "stopping",
    "warning",
    "error",
    "printed",
]

_HEADER = re.compile(r"([IWEF])\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ ([^\s\]]+:\d+)\] ?(.*)")
# Lines that do not belong to the entry before them.
_BARE = re.compile(
    r"error: |Error: |Signal \(|\[libprotobuf |.*error while loading shared libraries: "
)
_CRASH = "Fatal Python error: "  # of faulthandler; the stack follows
_MOST_LINES = 200  # of one entry; the rest is in the file


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the log: its severity letter (``I W E F``), source and message."""

    severity: str
    source: str
    message: str


@dataclass(frozen=True, slots=True)
class LogEvent:
    """An event of the log that matters to users.

    Attributes:
        kind: ``loading``, ``ready``, ``failed`` and ``unloaded`` concern one model, ``reloaded``
            and ``not reloaded`` one whose source was edited; ``listening`` and ``stopping`` the
            server; ``printed`` is a line of a model's hooks.
        text: in plain words; may have several lines.
        model: the model's name, or "". Warnings and errors with one are of its hooks.
        port: a port in use, or None.
    """

    kind: Kind
    text: str = ""
    model: str = ""
    port: int | None = None


class EntryReader:
    """Joins the log's lines into entries, wherever the text is cut."""

    def __init__(self) -> None:
        """Begin before the first line."""
        self._rest = ""
        self._head: tuple[str, str] | None = None
        self._lines: list[str] = []

    def feed(self, text: str) -> Iterator[Entry]:
        """Yield the entries that ``text`` completes: an entry ends where the next begins."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            match = _HEADER.match(line)
            if FOREIGN.match(line):
                continue
            if match:
                yield from self.flush()
                self._head, self._lines = (match[1], match[2]), [match[3]]
            elif line.startswith(_CRASH):
                yield from self.flush()
                self._head, self._lines = ("E", "crash"), [line]
            elif _BARE.match(line):
                yield from self.flush()
                severity = "E" if "rror" in line else "I"
                yield Entry(severity, "", line.removeprefix("error: "))
            elif self._head is not None and len(self._lines) < _MOST_LINES:
                self._lines.append(line)

    def flush(self) -> Iterator[Entry]:
        """Yield the last entry, which may be incomplete."""
        if self._head is not None:
            yield Entry(*self._head, _unquoted("\n".join(self._lines).rstrip()))
            self._head = None


def _unquoted(message: str) -> str:
    """Undo the quotes that Triton puts around some messages."""
    if len(message) >= 2 and message[0] == message[-1] == '"':
        try:
            return str(json.loads(message, strict=False))
        except ValueError:
            return message[1:-1]
    return message
