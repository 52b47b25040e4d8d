"""Triton's log, followed as it is written and explained in plain words.

A line of the log is ``I1121 01:43:28.121897 7160 model_lifecycle.cc:472] "loading: gat:1"``;
output of Python models comes between such lines. The patterns are those of Triton 2.51.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Kind = Literal[
    "loading", "ready", "failed", "unloaded", "listening", "stopping", "warning", "error"
]

_log = logging.getLogger("naiad.triton")

_HEADER = re.compile(r"([IWEF])\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ ([^\s\]]+:\d+)\] ?(.*)")
# Lines that do not belong to the entry before them.
_BARE = re.compile(
    r"error: |Error: |Signal \(|\[libprotobuf |.*error while loading shared libraries: "
)
# Written by libevhtp, Triton's HTTP server, into the middle of entries.
_FOREIGN = re.compile(r"\[\x1b\[")
_MOST_LINES = 200  # of one entry; the rest is in the file

_NOISE = re.compile(
    "Unable to allocate pinned system memory|CUDA memory pool disabled|CudaDriverHelper has not"
    "|Failed to initialize NVML|DCGM unable to start|Failed to create instance"
    "|No address added out of total|Non-graceful termination detected"
    "|failed to allocate pinned system memory|unable to create stream for"
    "|unable to get number of CUDA devices|Failed to set memory|failed to enable peer access"
)
_LOADING = re.compile(r"loading: (.+):(\d+)")
_READY = re.compile(r"successfully loaded '(.+)'")
_UNLOADED = re.compile(r"successfully unloaded '(.+)' version (\d+)")
_FAILED = re.compile(
    r"failed to load (?:model )?'(?P<model>[^']+)'(?: version \d+)?: "
    r"(?:[A-Z][a-z ]+: )?(?P<why>.*)",
    re.DOTALL,
)
_BAD_CONFIG = re.compile(r"Poll failed for model directory '(.+?)': (.*)", re.DOTALL)
_PROTOBUF = re.compile(r"Error parsing text-format inference\.ModelConfig: (\d+):(\d+): (.*)")
_NO_MODEL_PY = re.compile(r"Python model file not found in '(?P<file>.+/(?P<model>.+)/\d+/.+)'")
_LISTENING = re.compile(r"Started (GRPCInferenceService|HTTPService|Metrics Service) at")
_NO_LIBRARY = re.compile(r"error while loading shared libraries: ([^\s:]+)")
_TAKEN = re.compile(r"Socket '(.+):(\d+)' already in use")
_FRAME = re.compile(r"^  (?!<frozen)(.+)\((\d+)\): (.+)$", re.MULTILINE)
_NO_MODULE = re.compile(r"No module named '([\w.]+)'")
_NO_SHARED_MEMORY = re.compile(
    "shared memory (?:pool|region).*|No space left on device|/dev/shm.*", re.IGNORECASE
)
_STATUS = re.compile(r"^creating server: [A-Za-z ]+ - ")


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
        kind: ``loading``, ``ready``, ``failed`` and ``unloaded`` concern one model; ``listening``
            and ``stopping`` the server.
        text: in plain words; may have several lines.
        model: the model's name, or "".
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
            if _FOREIGN.match(line):
                continue
            if match:
                yield from self.flush()
                self._head, self._lines = (match[1], match[2]), [match[3]]
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


@dataclass(slots=True)
class LogFollower:
    """Reads a log file that Triton is writing."""

    path: Path
    _offset: int = 0
    _reader: EntryReader = field(default_factory=EntryReader)
    _config_error: str = ""

    def poll(self) -> Iterator[LogEvent]:
        """Yield events written since the last call."""
        with self.path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        self._offset += len(data)
        # A quiet log has no half-written entry.
        entries = self._reader.feed(data.decode(errors="replace")) if data else self._reader.flush()
        for entry in entries:
            event = self._interpret(entry)
            if event is not None:
                yield event

    def rest(self) -> list[LogEvent]:
        """Return events written since the last call to a log that has ended."""
        return [*self.poll(), *self.poll()]  # the second flushes

    def tail(self, lines: int = 5) -> str:
        """Return the last lines of the file, without Triton's tables."""
        text = self.path.read_text(errors="replace") if self.path.exists() else ""
        kept = [
            line
            for line in text.splitlines()
            if line.strip() and line[0] not in "|+" and not _FOREIGN.match(line)
        ]
        return "\n".join(kept[-lines:])

    def _interpret(self, entry: Entry) -> LogEvent | None:
        message = entry.message
        protobuf = _PROTOBUF.search(message)
        if protobuf:
            line, column, why = protobuf.groups()
            self._config_error = f"config.pbtxt, line {line}, column {column}: {why}"
            return None
        bad = _BAD_CONFIG.match(message)
        if bad:
            why, self._config_error = self._config_error or explain(bad[2]), ""
            return LogEvent("failed", why, bad[1])
        return interpret(entry)


def interpret(entry: Entry) -> LogEvent | None:
    """Return an entry's event for users, or None."""
    message = entry.message
    if match := _LOADING.fullmatch(message):
        return LogEvent("loading", model=match[1])
    if match := _READY.fullmatch(message):
        return LogEvent("ready", model=match[1])
    if match := _UNLOADED.fullmatch(message):
        return LogEvent("unloaded", f"version {match[2]}", match[1])
    if match := _FAILED.match(message):
        return LogEvent("failed", explain(match["why"]), match["model"])
    if match := _NO_MODEL_PY.search(message):
        return LogEvent("failed", f"{match['file']} not found", match["model"])
    if match := _LISTENING.match(message):
        return LogEvent("listening", match[1].removesuffix("InferenceService"))
    if message.startswith("Waiting for in-flight requests"):
        return LogEvent("stopping")
    if match := _TAKEN.search(message):
        return LogEvent("error", f"port {match[2]} is in use", port=int(match[2]))
    if match := _NO_LIBRARY.search(message):
        return LogEvent("error", f"the shared library {match[1]} of Triton's stub was not found")
    if entry.severity == "I" or _NOISE.search(message):
        return None
    kind: Kind = "warning" if entry.severity == "W" else "error"
    return LogEvent(kind, explain(_STATUS.sub("", message)))


def to_logger(event: LogEvent) -> None:
    """Send an event to the logger ``naiad.triton``."""
    levels = {"failed": logging.ERROR, "error": logging.ERROR, "warning": logging.WARNING}
    what = f"{event.model} {event.kind}" if event.model else event.kind
    _log.log(levels.get(event.kind, logging.DEBUG), "%s %s", what, event.text)


def explain(message: str) -> str:
    """Explain an error of Triton's: with the place of a Python error, and a remedy."""
    what, _, where = message.strip().partition("\n\nAt:\n")
    # The innermost frame comes first.
    frames = [f"  at {file}:{line}, in {name}" for file, line, name in _FRAME.findall(where)[:3]]
    text = "\n".join([what.strip(), *frames])
    if match := _NO_MODULE.search(what):
        package = match[1].partition(".")[0]
        return (
            f"{text}\n  the Python package {package} is not installed in {sys.prefix}, "
            f"which runs the models"
        )
    if "is not healthy" in what or "Stub process" in what:
        return f"{text}\n  the model's process ended unexpectedly: out of memory, or a crash"
    if _NO_SHARED_MEMORY.search(what):
        return (
            f"{text}\n  /dev/shm, which carries tensors, is full or too small; in Docker give "
            f"the container more: --shm-size=1g"
        )
    return text


def _unquoted(message: str) -> str:
    """Undo the quotes that Triton puts around some messages."""
    if len(message) >= 2 and message[0] == message[-1] == '"':
        try:
            return str(json.loads(message, strict=False))
        except ValueError:
            return message[1:-1]
    return message
