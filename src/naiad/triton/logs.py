"""Triton's log, followed as it is written and explained in plain words.

The patterns are those of Triton 2.51.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from naiad.runtime.worker_log import ENTRY
from naiad.tracebacks import users_part
from naiad.triton.hook_output import HookOutput
from naiad.triton.log_entries import FOREIGN, Entry, EntryReader, Kind, LogEvent

_log = logging.getLogger("naiad.triton")

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


@dataclass(slots=True)
class LogFollower:
    """Reads a log file that Triton is writing.

    Attributes:
        path: of the file.
        linked: folders of links, and the folders that they stand for.
    """

    path: Path
    linked: Mapping[Path, Path] = field(default_factory=dict[Path, Path])
    _offset: int = 0
    _reader: EntryReader = field(default_factory=EntryReader)
    _hooks: HookOutput = field(default_factory=HookOutput)
    _config_error: str = ""

    def poll(self) -> Iterator[LogEvent]:
        """Yield events written since the last call."""
        with self.path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        self._offset += len(data)
        # A quiet log has no half-written entry.
        entries = self._reader.feed(self._read(data)) if data else self._reader.flush()
        for entry in entries:
            event = self._interpret(entry)
            if event is not None:
                self._hooks.note(event)
                yield event

    def rest(self) -> list[LogEvent]:
        """Return events written since the last call to a log that has ended."""
        return [*self.poll(), *self.poll()]  # the second flushes

    def tail(self, lines: int = 5) -> str:
        """Return the last lines of the file, without Triton's tables."""
        text = self._read(self.path.read_bytes()) if self.path.exists() else ""
        kept = [
            line
            for line in text.splitlines()
            if line.strip() and line[0] not in "|+" and not FOREIGN.match(line)
        ]
        return "\n".join(kept[-lines:])

    def _read(self, data: bytes) -> str:
        text = data.decode(errors="replace")
        for links, folder in self.linked.items():
            text = text.replace(f"{links}/", f"{folder}/")
        return text

    def _interpret(self, entry: Entry) -> LogEvent | None:
        if match := ENTRY.fullmatch(entry.source):
            return self._hooks.read(match["source"], match["model"], entry)
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
    return LogEvent(kind, explain(_STATUS.sub("", users_part(message))))


def to_logger(event: LogEvent) -> None:
    """Send an event to the logger ``naiad.triton``."""
    levels = {"failed": logging.ERROR, "error": logging.ERROR, "warning": logging.WARNING}
    levels["printed"] = logging.INFO
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
            f"{text}\n  the Python package {package} is not installed in the Python that runs the "
            f"model; install it there, or put its folder on PYTHONPATH"
        )
    if "is not healthy" in what or "Stub process" in what:
        return f"{text}\n  the model's process ended unexpectedly: out of memory, or a crash"
    if _NO_SHARED_MEMORY.search(what):
        return (
            f"{text}\n  /dev/shm, which carries tensors, is full or too small; in Docker give "
            f"the container more: --shm-size=1g"
        )
    return text
