"""One scrape of a whole server: Triton with the models, the supervisor and the gate."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

from naiad.errors import EngineError
from naiad.triton.exposition import (
    OPEN_METRICS,
    PROMETHEUS,
    Exemplar,
    Family,
    open_metrics_text,
    parse_families,
    prometheus_text,
)
from naiad.triton.prometheus import Sample

METRICS_PATH: Final = "/metrics"


class _Answered(Protocol):
    """A request that was answered: its model, seconds since 1970 and until the answer, trace."""

    @property
    def model(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def arrived(self) -> float: ...
    @property
    def seconds(self) -> float: ...
    @property
    def trace(self) -> str: ...


class Scrape:
    """Reads all metrics of a server when it is asked."""

    def __init__(
        self,
        report: Callable[[], Mapping[str, Any]],
        sources: Sequence[Callable[[], str]],
        exemplars: Callable[[], Iterable[Exemplar]] = tuple[Exemplar, ...],
    ) -> None:
        """Take the sources; read nothing yet.

        Args:
            report: returns the supervisor's, as :meth:`naiad.triton.health.Health.report` does.
            sources: each returns an exposition (text format 0.0.4) or raises EngineError if it is
                down, and is then left out.
            exemplars: returns requests whose traces are known.
        """
        self._report, self._sources, self._exemplars = report, sources, exemplars

    def answer(self, accept: str) -> tuple[str, str]:
        """Return the content type and the text for a request's header ``Accept``."""
        families = supervision(self._report())
        for source in self._sources:
            try:
                families += parse_families(source())
            except EngineError:  # noqa: PERF203 - one that is down does not hide the others
                continue
        if "application/openmetrics-text" in accept:
            return OPEN_METRICS, open_metrics_text(families, tuple(self._exemplars()))
        return PROMETHEUS, prometheus_text(families)


def latencies(requests: Iterable[_Answered]) -> Iterator[Exemplar]:
    """Yield the exemplars of ``naiad_request_seconds``: those requests whose traces are known."""
    for request in requests:
        if request.trace:
            labels = {"model": request.model, "version": str(request.version)}
            at = request.arrived + request.seconds
            yield Exemplar("naiad_request_seconds", labels, request.seconds, request.trace, at)


def supervision(report: Mapping[str, Any]) -> list[Family]:
    """Return the supervisor's metrics, from its report."""
    models: Mapping[str, Mapping[str, Any]] = report["models"]
    families = [
        _single("naiad_server_ready", "gauge", "1 if every model answers", report["ready"]),
        _single(
            "naiad_server_restarts_total",
            "counter",
            "Restarts of the whole server by its supervisor",
            report["restarts"],
        ),
        Family(
            "naiad_model_ready",
            "gauge",
            "1 if the model answered its last probe",
            [
                Sample("naiad_model_ready", {"model": name}, float(model["ready"]))
                for name, model in models.items()
            ],
        ),
    ]
    if "gate" in report:
        about = "1 if requests get through the gate"
        families.append(_single("naiad_gate_ready", "gauge", about, report["gate"]["ready"]))
    return families


def _single(name: str, kind: str, about: str, value: float) -> Family:
    return Family(name, kind, about, [Sample(name, {}, float(value))])
