"""The history of a server's requests, and the export of their traces."""

from __future__ import annotations

from collections.abc import Callable

from naiad.core.settings import ServeSettings
from naiad.errors import EngineError
from naiad.otlp import Collector
from naiad.triton.exposition import Exemplar
from naiad.triton.history import History
from naiad.triton.log_entries import LogEvent
from naiad.triton.scrape import latencies
from naiad.triton.traces import Traces

_EXEMPLARS = 500  # requests that are searched for them at each scrape


class Observation:
    """Owner of a server's history and traces."""

    def __init__(self, settings: ServeSettings, on_event: Callable[[LogEvent], None]) -> None:
        """Take the settings; begin nothing yet."""
        self._settings = settings
        self._on_event = on_event
        self._traces: Traces | None = None
        self.collector = Collector(settings.otlp, settings.trace_rate) if settings.otlp else None
        """Where traces go."""
        self.history: History | None = None
        """The last requests, while the server runs, unless it keeps none."""

    @property
    def path(self) -> str:
        """Path of the history for other processes of this user, or ""."""
        return self.history.path if self.history is not None else ""

    def begin(self) -> None:
        """Make the history, and begin to export traces if the settings ask for it.

        Raises:
            EngineError: the collector's URL is invalid, or no history is kept to make traces from.
            MissingExtra: OpenTelemetry is not installed.
        """
        if self._settings.history:
            self.history = History.make(self._settings.history)
        if self.collector is not None:
            self.collector.check()
            if self.history is None:
                raise EngineError("--otlp makes traces from the history: --history must not be 0")
            self._traces = Traces(self.history, self.collector, self._on_event)

    def exemplars(self) -> list[Exemplar]:
        """Return the last requests whose traces are kept by their clients, for histograms."""
        if self.history is None:
            return []
        last = self.history.last(_EXEMPLARS).requests
        return list(latencies(request for request in last if request.sampled))

    def end(self) -> None:
        """Export what is left and free the history; do nothing if there is none."""
        if self._traces is not None:
            self._traces.close()
            self._traces = None
        if self.history is not None:
            self.history.close()
            self.history = None
