"""Traces of requests, made from the server's history and sent to an OpenTelemetry collector.

Spans are made in this process, seconds after the requests: serving only writes its record. A
request is a span with one below it for each stage, in the client's trace if it sent
``traceparent``.

Triton's own OpenTelemetry mode (2.51 has it) is not used: its spans know neither a request's batch
and sizes nor the stages in the worker. It works beside this one.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from naiad import __version__
from naiad.otlp import Collector
from naiad.triton.history import PROBE, History, PastRequest, has_id, read_records
from naiad.triton.log_entries import LogEvent

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext
    from opentelemetry.util.types import AttributeValue

_EVERY = 0.5  # seconds between exports
_WRITING = 0.002  # seconds, more than writing a record takes
_AT_ONCE = 512  # requests in one message
_THREAD = "naiad-traces"


class Traces:
    """A thread that exports sampled requests."""

    def __init__(
        self,
        history: History,
        collector: Collector,
        on_event: Callable[[LogEvent], None],
    ) -> None:
        """Begin with the requests that end from now on.

        Args:
            history: of the requests.
            collector: takes the spans.
            on_event: called with a warning when requests begin to be lost.

        Raises:
            MissingExtra: OpenTelemetry is not installed.
        """
        self._exporter = collector.exporter()
        self._resource = _resource()
        self._history, self._rate = history, collector.rate
        self._on_event = on_event
        self._random = np.random.default_rng()
        self._seen = history.total
        self._failing = False
        # It logs each failure and retry.
        logging.getLogger(type(self._exporter).__module__).addFilter(_is_of_others)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=_THREAD, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Export what is left, unless the collector does not answer, and end."""
        self._ended.set()
        if self._failing:
            self._exporter.shutdown()  # ends its retries
        self._thread.join()
        if not self._failing:
            self._exporter.shutdown()

    def _run(self) -> None:
        while not self._ended.wait(_EVERY):
            self._export()
        self._export()

    def _export(self) -> None:
        records, lost = self._new()
        chosen = records[self._sampled(records)]
        problem = f"{lost:,} requests came too fast" if lost else ""
        for first in range(0, len(chosen), _AT_ONCE):
            requests = read_records(chosen[first : first + _AT_ONCE])
            spans = [span for one in requests for span in spans_of(one, self._resource)]
            if not self._sent(spans):
                problem = "the collector does not take them"
                break
        if problem and not self._failing:
            self._on_event(LogEvent("warning", f"traces are lost: {problem}"))
        self._failing = bool(problem)

    def _new(self) -> tuple[NDArray[Any], int]:
        """Return the records since the last call, and the number of those that were too late."""
        records = self._history.records(self._seen)
        if len(records) and int(records["number"][-1]) - self._seen > len(records):
            time.sleep(_WRITING)  # one was being written; or its writer has died
            records = self._history.records(self._seen)
        if not len(records):
            return records, 0
        seen, self._seen = self._seen, int(records["number"][-1])
        return records, self._seen - seen - len(records)

    def _sent(self, spans: Sequence[ReadableSpan]) -> bool:
        from opentelemetry.sdk.trace.export import SpanExportResult

        return self._exporter.export(spans) is SpanExportResult.SUCCESS

    def _sampled(self, records: NDArray[Any]) -> NDArray[np.bool_]:
        drawn = self._random.random(len(records)) < self._rate
        chosen = np.where(records["traced"] > 0, records["flags"] & 1 > 0, drawn)
        return chosen & ~has_id(records, PROBE)


def spans_of(request: PastRequest, resource: Resource) -> Iterator[ReadableSpan]:
    """Yield the span of a request, and one for each of its stages."""
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanKind, Status, StatusCode

    scope = InstrumentationScope("naiad", __version__)
    trace = int(request.trace, 16) if request.trace else _new_id(128)
    parent = _context(trace, int(request.span, 16), remote=True) if request.span else None
    own = _context(trace, _new_id(64))
    start = int(request.arrived * 1e9)

    def span(name: str, context: SpanContext, **about: Any) -> ReadableSpan:
        return ReadableSpan(name, context, resource=resource, instrumentation_scope=scope, **about)

    yield span(
        f"infer {request.model}",
        own,
        parent=parent,
        kind=SpanKind.SERVER,
        attributes=_attributes(request),
        status=Status(StatusCode.ERROR, request.error) if request.error else None,
        start_time=start,
        end_time=start + int(request.seconds * 1e9),
    )
    for stage in request.stages:
        yield span(
            stage.name,
            _context(trace, _new_id(64)),
            parent=own,
            kind=SpanKind.INTERNAL,
            start_time=start + int(stage.began * 1e9),
            end_time=start + int(stage.ended * 1e9),
        )


def _is_of_others(record: logging.LogRecord) -> bool:
    return record.threadName != _THREAD


def _resource() -> Resource:
    """Return this server's name; OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES take precedence."""
    from opentelemetry.sdk.resources import (
        SERVICE_NAME,
        SERVICE_VERSION,
        OTELResourceDetector,
        Resource,
    )

    named = Resource({SERVICE_NAME: "naiad", SERVICE_VERSION: __version__})
    return named.merge(OTELResourceDetector().detect())


def _context(trace: int, span: int, *, remote: bool = False) -> SpanContext:
    from opentelemetry.trace import SpanContext, TraceFlags

    return SpanContext(trace, span, remote, TraceFlags(TraceFlags.SAMPLED))


def _new_id(bits: int) -> int:
    return random.getrandbits(bits) or 1


def _attributes(request: PastRequest) -> dict[str, AttributeValue]:
    found: dict[str, AttributeValue] = {
        "naiad.model": request.model,
        "naiad.version": request.version,
        "naiad.number": request.number,
        **{f"naiad.{dim}": rows for dim, rows in request.rows.items() if dim != "requests"},
    }
    if request.id:
        found["naiad.request_id"] = request.id
    if request.error:
        found["error.type"] = request.error
    if (batch := request.batch) is not None:
        found |= {
            "naiad.batch": batch.number,
            "naiad.neighbours": batch.requests - 1,
            "naiad.worker": batch.worker,
            "naiad.worker.pid": batch.pid,
            "naiad.threads": batch.threads,
            **{f"naiad.batch.{dim}": rows for dim, rows in batch.rows.items()},
        }
    return found
