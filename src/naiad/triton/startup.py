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

_POLL = 0.02  # seconds
_QUIET = 3.0  # seconds without an entry in the log after which Triton waits for dead processes


class StuckError(EngineError):
    """A start that Triton does not finish, as it waits for a process that has died.

    Attributes:
        models: why each model failed, by name; Triton waits for one of them.
    """

    def __init__(self, models: Mapping[str, str]) -> None:
        """Name the models."""
        super().__init__(not_loaded(models))
        self.models = models


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
    services: int,
    timeout: float,
    on_event: Callable[[LogEvent], None],
    *,
    all_must_load: bool = True,
    refused: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Wait until Triton has loaded its models and is listening.

    Args:
        reaper: of the process.
        follower: of its log.
        models: number of models that Triton loads.
        services: number of services that it starts: HTTP, gRPC and, unless it is off, metrics.
        timeout: in seconds.
        on_event: called with the log's events.
        all_must_load: a model that fails makes the start fail, once all others are done.
        refused: reasons why further models were left out, by name; they count as failed.

    Returns:
        Reasons why models did not load, by name, of those that Triton tried.

    Raises:
        PortTakenError: a port is in use.
        StuckError: not all must load, and Triton waits for one that has failed.
        EngineError: the start failed; says why, and where the log is.
    """
    deadline = time.monotonic() + timeout
    progress, stubs = Startup(models if all_must_load else None, refused or {}), Stubs()
    died: dict[str, LogEvent] = {}
    heard = time.monotonic()
    while len(progress.listening) < services or progress.is_hopeless():
        ended = [e for e in reaper.poll(_POLL) if e["event"] == "ended"]
        events = list(follower.poll())
        if ended:
            events += follower.rest()
        elif reaper.pid is not None:
            died |= {event.model: event for event in stubs.died(reaper.pid, progress.loading)}
        if events:
            heard = time.monotonic()
        elif time.monotonic() - heard > _QUIET and progress.loading <= died.keys():
            # Not earlier: a model that waits for its turn has no process, either.
            events = [died[model] for model in progress.loading]
            if not all_must_load and (progress.failed or events):
                raise StuckError(progress.failed or {one.model: one.text for one in events})
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
    return progress.failed


class Startup:
    """Progress of a start, from the log."""

    def __init__(self, expected: int | None, refused: Mapping[str, str] | None = None) -> None:
        """Expect that many models; None: any may fail. Those ``refused`` have failed already."""
        self.loading: set[str] = set()
        self.failed: dict[str, str] = {}
        """Reasons why models have not loaded, by name."""
        self.listening: set[str] = set()
        self.taken_port: int | None = None
        self._refused = dict(refused or {})
        self._expected = None if expected is None else expected + len(self._refused)
        self._seen = {*self._refused}
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
            self.failed[event.model] = event.text
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
        return bool((self.failed or self._refused) and all_done)

    def reason(self) -> str:
        """Return the reason; "" if the log does not say."""
        failed = self.failed | self._refused
        if not failed:
            return "\n".join(self._errors)
        return not_loaded(failed, max(self._expected or 0, len(self._seen)))


def not_loaded(reasons: Mapping[str, str], total: int = 0) -> str:
    """Return the error of a server some of whose ``total`` models did not load."""
    lines = [f"{model}: {why}" for model, why in sorted(reasons.items())]
    if max(total, len(lines)) == 1:
        return f"the model did not load: {lines[0]}"
    return "\n".join([f"{len(lines)} of {max(total, len(lines))} models did not load:", *lines])


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
