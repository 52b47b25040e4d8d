"""The Envoy process in front of Triton."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from naiad.core.settings import GateSettings
from naiad.otlp import Collector
from naiad.triton.endpoints import Endpoints
from naiad.triton.kept_process import KeptProcess
from naiad.triton.log_entries import LogEvent
from naiad.triton.ports import in_use


class GateProcess(KeptProcess):
    """Envoy in front of one Triton."""

    called = "the gate (Envoy)"

    def __init__(
        self,
        settings: GateSettings,
        endpoints: Endpoints,
        scratch: Path,
        on_event: Callable[[LogEvent], None],
        note: Callable[[str], None] | None,
        collector: Collector | None,
        *,
        ui: bool,
    ) -> None:
        """Take the settings; write nothing into ``scratch`` yet.

        Args:
            settings: of the gate.
            endpoints: of Triton.
            scratch: folder for temporary files.
            on_event: called with warnings.
            note: called with the reason why no request gets through, and with "" once they do.
            collector: of Envoy's traces.
            ui: the page and the tasks are behind it, too.
        """
        super().__init__(scratch / "envoy.log", on_event)
        self._settings, self._endpoints = settings, endpoints
        self._directory, self._noted, self._ui = scratch / "gate", note, ui
        self._collector = collector

    def command(self) -> Sequence[str]:
        """Write Envoy's configuration; return its command line."""
        from naiad.gate import Listeners, Upstream, write

        sockets, ports = self._endpoints.sockets, self._endpoints.ports
        assert sockets is not None
        self._directory.mkdir(mode=0o700, exist_ok=True)
        addresses = [(self._endpoints.address, p) for use, p in ports.items() if use != "metrics"]
        return write(
            self._settings,
            Listeners(
                addresses=tuple(addresses),
                socket=self._settings.socket,
                metrics=(self._endpoints.metrics_address, ports["metrics"]),
            ),
            Upstream(sockets.http, sockets.grpc, sockets.metrics, sockets.ui if self._ui else None),
            self._endpoints.control_key,
            self._directory,
            self._collector,
        )

    def metrics(self) -> str:
        """Return Envoy's metrics in Prometheus' text format; "" if it does not answer."""
        from naiad.gate import statistics

        return statistics(self._directory)

    def is_ready(self) -> bool:
        """Return whether Envoy is listening."""
        from naiad.gate import is_ready

        return is_ready(self._directory)

    def reason(self, said: str) -> str:
        """Name a port that is in use."""
        if "Address already in use" in said:
            for use, port in self._endpoints.ports.items():
                if f":{port}" in said:
                    return in_use(use, port)
        return super().reason(said)

    def note(self, reason: str) -> None:
        """Pass the reason on."""
        if self._noted is not None:
            self._noted(reason)

    def refresh(self) -> None:
        """Apply changed files of keys and certificates."""
        from naiad.gate import refresh

        for message in refresh(self._settings, self._directory):
            self._on_event(LogEvent("warning", message))

    @property
    def files(self) -> Sequence[Path]:
        """The Unix socket for clients."""
        return [self._settings.socket] if self._settings.socket is not None else []
