"""A process beside Triton: kept running, and ended with it."""

from __future__ import annotations

import os
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

from naiad.backoff import Backoff
from naiad.errors import EngineError
from naiad.triton.log_entries import LogEvent
from naiad.triton.reaper import Charge, Reaper

_POLL = 0.05  # seconds between checks of one that starts
_LOOK = 0.25  # seconds between checks of one that runs
_REFRESH = 1.0  # seconds between calls of refresh()
_BACKOFF = Backoff(first=0.25, longest=5.0)  # before a start, by the number of failures
_LONG = 60.0  # seconds of running after which failures are counted anew


class KeptProcess(ABC):
    """A process that is restarted without limit if it dies.

    Attributes:
        called: its name in messages.
        longest_start: seconds until it must be ready.
    """

    called: ClassVar[str]
    longest_start: ClassVar[float] = 15.0

    def __init__(self, log: Path, on_event: Callable[[LogEvent], None]) -> None:
        """Start nothing yet; ``log`` gets the process's output."""
        self._log, self._on_event = log, on_event
        self._reaper: Reaper | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="naiad-kept", daemon=True)

    @abstractmethod
    def command(self) -> Sequence[str]:
        """Return the command line; called once, before the first start."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Return whether the process answers."""

    def reason(self, said: str) -> str:
        """Return the message for a process that ended at its start, after it ``said`` this."""
        lines = said.splitlines()[-5:]
        return "\n".join([f"{self.called} did not start; its output:", *lines])

    def note(self, reason: str) -> None:  # noqa: B027 - most need not know
        """Be told why the process does not answer, or "" once it does."""

    def refresh(self) -> None:  # noqa: B027 - most have nothing to do
        """Do what is to be done every second while it runs."""

    @property
    def files(self) -> Sequence[Path]:
        """Files to remove when it has ended."""
        return ()

    def start(self) -> None:
        """Start the process; return when it is ready.

        Raises:
            EngineError: the start failed; says why.
        """
        self._command = self.command()
        self._launch()
        self.note("")
        self._thread.start()

    def end(self) -> None:
        """End the process and its watch; open connections are cut."""
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._end()
        for path in self.files:
            path.unlink(missing_ok=True)

    def _launch(self) -> None:
        self._log.touch()
        written = self._log.stat().st_size
        self._reaper = Reaper(
            Charge(
                command=self._command,
                environment=dict(os.environ),
                log=str(self._log),
                exit_timeout=2.0,
                shared_memory="",
                remove=[str(path) for path in self.files],
            )
        )
        deadline = time.monotonic() + self.longest_start
        while not self.is_ready():
            died = any(event["event"] == "ended" for event in self._reaper.poll(_POLL))
            if died or time.monotonic() > deadline or self._ended.is_set():
                self._end()
                said = self._log.read_bytes()[written:].decode(errors="replace").strip()
                raise EngineError(self.reason(said))

    def _watch(self) -> None:
        failures, since, refreshed = 0, time.monotonic(), 0.0
        while not self._ended.is_set():
            assert self._reaper is not None
            if any(event["event"] == "ended" for event in self._reaper.poll(_LOOK)):
                self._end()
                failures = 0 if time.monotonic() - since > _LONG else failures
                failures, since = self._again(failures), time.monotonic()
            if time.monotonic() - refreshed >= _REFRESH:
                refreshed = time.monotonic()
                self.refresh()

    def _again(self, failures: int) -> int:
        """Start it until it is ready; return the number of consecutive failures."""
        reason = f"{self.called} has died"
        while not self._ended.is_set():
            self.note(reason)
            self._on_event(LogEvent("warning", f"restarting {self.called}: {reason}"))
            pause = _BACKOFF.wait(failures)
            failures += 1
            if self._ended.wait(pause):
                break
            try:
                self._launch()
            except EngineError as error:
                reason = str(error)
            else:
                self.note("")
                break
        return failures

    def _end(self) -> None:
        if self._reaper is not None:
            self._reaper.kill()
            if not self._reaper.wait(self._reaper.exit_limit):
                self._reaper.destroy()
            self._reaper = None
