"""The Envoy process in front of Triton: kept running, and ended with it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from naiad.backoff import Backoff
from naiad.core.settings import GateSettings
from naiad.errors import EngineError
from naiad.otlp import Collector
from naiad.triton.endpoints import Endpoints
from naiad.triton.log_entries import LogEvent
from naiad.triton.ports import in_use
from naiad.triton.reaper import Charge, Reaper

_START = 15.0  # maximum seconds until Envoy is listening
_POLL = 0.05  # seconds between checks of a starting Envoy
_LOOK = 0.25  # seconds between checks of a running one
_REFRESH = 1.0  # seconds between checks of the files of keys and certificates
_BACKOFF = Backoff(first=0.25, longest=5.0)  # before a start, by the number of failures
_LONG = 60.0  # seconds of running after which failures are counted anew


class GateProcess:
    """Envoy in front of one Triton, restarted without limit if it dies."""

    def __init__(
        self,
        settings: GateSettings,
        endpoints: Endpoints,
        scratch: Path,
        on_event: Callable[[LogEvent], None],
        collector: Collector | None = None,
    ) -> None:
        """Take the settings; write nothing into ``scratch`` yet."""
        self._settings, self._endpoints = settings, endpoints
        self._collector = collector
        self._directory = scratch / "gate"
        self._log = scratch / "envoy.log"
        self._on_event = on_event
        self._note: Callable[[str], None] = lambda reason: None
        self._reaper: Reaper | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="naiad-gate", daemon=True)

    def start(self, note: Callable[[str], None] | None) -> None:
        """Start Envoy; return when it is listening.

        ``note`` is called with the reason why no request gets through, and with "" once they do.

        Raises:
            EngineError: the start failed; says why.
        """
        from naiad.gate import Listeners, Upstream, write

        sockets, ports = self._endpoints.sockets, self._endpoints.ports
        assert sockets is not None
        self._note = note or self._note
        self._directory.mkdir(mode=0o700, exist_ok=True)
        addresses = [(self._endpoints.address, p) for use, p in ports.items() if use != "metrics"]
        self._command = write(
            self._settings,
            Listeners(
                addresses=tuple(addresses),
                socket=self._settings.socket,
                metrics=(self._endpoints.metrics_address, ports["metrics"]),
            ),
            Upstream(sockets.http, sockets.grpc, sockets.metrics),
            self._endpoints.control_key,
            self._directory,
            self._collector,
        )
        self._launch()
        self._note("")
        self._thread.start()

    def end(self) -> None:
        """End Envoy and its watch; open connections are cut."""
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._end()
        if self._settings.socket is not None:
            self._settings.socket.unlink(missing_ok=True)

    def _launch(self) -> None:
        from naiad.gate import is_ready

        self._log.touch()
        written = self._log.stat().st_size
        self._reaper = Reaper(
            Charge(
                command=self._command,
                environment=dict(os.environ),
                log=str(self._log),
                exit_timeout=2.0,
                shared_memory="",
                remove=[str(self._settings.socket)] if self._settings.socket else [],
            )
        )
        deadline = time.monotonic() + _START
        while not is_ready(self._directory):
            died = any(event["event"] == "ended" for event in self._reaper.poll(_POLL))
            if died or time.monotonic() > deadline or self._ended.is_set():
                self._end()
                said = self._log.read_bytes()[written:].decode(errors="replace").strip()
                raise EngineError(self._reason(said))

    def _reason(self, said: str) -> str:
        if "Address already in use" in said:
            for use, port in self._endpoints.ports.items():
                if f":{port}" in said:
                    return in_use(use, port)
        lines = said.splitlines()[-5:]
        return "\n".join(["the gate (Envoy) did not start; its output:", *lines])

    def _watch(self) -> None:
        from naiad.gate import refresh

        failures, since, refreshed = 0, time.monotonic(), 0.0
        while not self._ended.is_set():
            assert self._reaper is not None
            if any(event["event"] == "ended" for event in self._reaper.poll(_LOOK)):
                self._end()
                failures = 0 if time.monotonic() - since > _LONG else failures
                failures, since = self._again(failures), time.monotonic()
            if time.monotonic() - refreshed >= _REFRESH:
                refreshed = time.monotonic()
                for message in refresh(self._settings, self._directory):
                    self._on_event(LogEvent("warning", message))

    def _again(self, failures: int) -> int:
        """Start Envoy until it is listening; return the number of consecutive failures."""
        reason = "the gate (Envoy) has died"
        while not self._ended.is_set():
            self._note(reason)
            self._on_event(LogEvent("warning", f"restarting the gate: {reason}"))
            pause = _BACKOFF.wait(failures)
            failures += 1
            if self._ended.wait(pause):
                break
            try:
                self._launch()
            except EngineError as error:
                reason = str(error)
            else:
                self._note("")
                break
        return failures

    def _end(self) -> None:
        if self._reaper is not None:
            self._reaper.kill()
            if not self._reaper.wait(self._reaper.exit_limit):
                self._reaper.destroy()
            self._reaper = None
