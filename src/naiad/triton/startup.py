"""Progress of a starting Triton, and the reason if it fails."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from naiad.errors import EngineError
from naiad.triton.log_entries import LogEvent
from naiad.triton.logs import LogFollower
from naiad.triton.reaper import Reaper
from naiad.triton.stub_watch import Stubs

_SERVICES = 3  # HTTP, gRPC and metrics
_POLL = 0.02  # seconds


class PortTakenError(EngineError):
    """A port that was taken between our check and Triton's start."""

    def __init__(self, port: int) -> None:
        """Name the port."""
        super().__init__(f"port {port} is in use")
        self.port = port


def wait_for_start(
    reaper: Reaper,
    follower: LogFollower,
    models: int,
    timeout: float,
    on_event: Callable[[LogEvent], None],
    *,
    all_must_load: bool = True,
) -> None:
    """Wait until Triton has loaded its models and is listening.

    Raises:
        PortTakenError: a port is in use.
        EngineError: the start failed; says why, and where the log is.
    """
    deadline = time.monotonic() + timeout
    progress, stubs = Startup(models if all_must_load else None), Stubs()
    while len(progress.listening) < _SERVICES:
        ended = [e for e in reaper.poll(_POLL) if e["event"] == "ended"]
        events = list(follower.poll())
        if ended:
            events += follower.rest()
        elif reaper.pid is not None:
            events += stubs.died(reaper.pid, progress.loading)
        for event in events:
            progress.note(event)
            on_event(event)
        if progress.taken_port is not None:
            raise PortTakenError(progress.taken_port)
        if ended or progress.is_hopeless():
            reason = progress.reason() or last_words(ended, follower)
            raise EngineError(f"{reason}\nFull log: {follower.path}")
        if time.monotonic() > deadline:
            waiting = ", ".join(sorted(progress.loading)) or "Triton"
            raise EngineError(
                f"{waiting}: not ready after {timeout:.0f} s; the log ends with\n"
                f"{follower.tail()}\nFull log: {follower.path}"
            )


class Startup:
    """Progress of a start, from the log."""

    def __init__(self, expected: int | None) -> None:
        """Expect that many models; None: any may fail."""
        self.loading: set[str] = set()
        self.listening: set[str] = set()
        self.taken_port: int | None = None
        self._expected = expected
        self._seen: set[str] = set()
        self._failed: dict[str, str] = {}
        self._errors: list[str] = []
        self._stopping = False

    def note(self, event: LogEvent) -> None:
        """Record an event of the log."""
        if event.model:
            self._seen.add(event.model)
        if event.kind == "loading":
            self.loading.add(event.model)
        elif event.kind == "ready":
            self.loading.discard(event.model)
        elif event.kind == "failed":
            self.loading.discard(event.model)
            self._failed[event.model] = event.text
        elif event.kind == "listening":
            self.listening.add(event.text)
        elif event.kind == "stopping":
            self._stopping = True
        elif event.kind == "error" and not event.model:
            self._errors.append(event.text)
            if event.port is not None:
                self.taken_port = event.port

    def is_hopeless(self) -> bool:
        """Return True if Triton says that it ends, or if all models are done and one failed."""
        missing_library = any("shared library" in text for text in self._errors)
        if self._stopping or missing_library or self._expected is None:
            return self._stopping or missing_library
        all_done = not self.loading and len(self._seen) >= self._expected
        return bool(self._failed and all_done)

    def reason(self) -> str:
        """Return the reason; "" if the log does not say."""
        if not self._failed:
            return "\n".join(self._errors)
        total = max(self._expected or 0, len(self._seen))
        lines = [f"{model}: {why}" for model, why in sorted(self._failed.items())]
        if total == 1:
            return f"the model did not load: {lines[0]}"
        return "\n".join([f"{len(lines)} of {total} models did not load:", *lines])


def last_words(ended: Sequence[Mapping[str, Any]], follower: LogFollower) -> str:
    """Explain the end of a server that nobody stopped and that gave no reason."""
    if not ended:
        how = "Triton gave up"
    elif reason := ended[-1].get("reason"):
        how = f"Triton could not be run: {reason}"
    else:
        status = ended[-1]["status"]
        cause = "out of memory, or killed" if status == -signal.SIGKILL else "a crash"
        how = (
            f"Triton was ended by {signal.Signals(-status).name} ({cause})"
            if status < 0
            else f"Triton ended by itself with status {status}"
        )
    tail = follower.tail()
    return f"{how}; its log ends with\n{tail}" if tail else how
