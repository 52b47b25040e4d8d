"""Spans of a history's requests, at a collector that speaks OTLP over HTTP."""

from collections.abc import Iterator

import pytest
from tests.support.collector import Collector, attributes, collecting
from tests.support.history import kept, write

from naiad import otlp
from naiad.triton.history import PROBE, History
from naiad.triton.log_entries import LogEvent
from naiad.triton.traces import Traces

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
def ring() -> Iterator[History]:
    with kept(40) as ring:
        yield ring


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


def traced(ring: History, collector: Collector, rate: float = 1.0) -> tuple[Traces, list[LogEvent]]:
    events: list[LogEvent] = []
    return Traces(ring, otlp.Collector(collector.url, rate), events.append), events


def test_a_request_is_a_span_with_its_stages_below(ring: History, collector: Collector) -> None:
    write(ring, id="before")
    traces, events = traced(ring, collector)
    write(ring, id="a", trace=TRACE)
    write(ring, id="b", kind="PipelineError", code=1)
    write(ring, id=PROBE)
    traces.close()
    spans = collector.wait(10, within=0)
    assert len(spans) == 10
    first, *stages = spans[:5]
    assert (first.trace_id.hex(), first.parent_span_id.hex()) == (TRACE, "00f067aa0ba902b7")
    assert first.end_time_unix_nano - first.start_time_unix_nano == pytest.approx(1e8, abs=10)
    assert attributes(first) == {
        "naiad.model": "net",
        "naiad.version": 3,
        "naiad.number": 2,
        "naiad.nodes": 10,
        "naiad.request_id": "a",
        "naiad.batch": 7,
        "naiad.neighbours": 1,
        "naiad.worker": 1,
        "naiad.worker.pid": attributes(first)["naiad.worker.pid"],
        "naiad.threads": 2,
        "naiad.batch.requests": 2,
        "naiad.batch.nodes": 30,
    }
    assert [stage.name for stage in stages] == ["queue", "send", "forward", "reply"]
    assert {stage.parent_span_id for stage in stages} == {first.span_id}
    second = spans[5]
    assert second.trace_id.hex() != TRACE
    assert not second.parent_span_id
    assert second.status.message == attributes(second)["error.type"] == "PipelineError"
    assert not events


@pytest.mark.parametrize(("rate", "expected"), [(0.0, {"yes"}), (1.0, {"yes", "alone"})])
def test_the_client_decides_or_else_the_rate(
    ring: History, collector: Collector, rate: float, expected: set[str]
) -> None:
    traces, _ = traced(ring, collector, rate)
    write(ring, id="yes", trace=TRACE)
    write(ring, id="no", trace=TRACE, sampled=False)
    write(ring, id="alone")
    traces.close()
    named = {attributes(span).get("naiad.request_id") for _, span in collector.spans}
    assert named - {None} == expected


def test_lost_traces_are_reported_once(
    ring: History, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("naiad.triton.traces._EVERY", 0.05)
    collector.status = 400
    traces, events = traced(ring, collector)
    for _ in range(2):
        before = len(collector.refused)
        write(ring, id="a")
        with collector.changed:
            assert collector.changed.wait_for(lambda b=before: len(collector.refused) > b, 10)
    traces.close()
    assert [event.text for event in events] == ["traces are lost: the collector does not take them"]


def test_the_environment_names_the_service_and_brings_headers(
    ring: History, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "gpu-7")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20token")
    traces, _ = traced(ring, collector)
    write(ring, id="a")
    traces.close()
    assert len(collector.wait(5, "gpu-7", within=0)) == 5
    assert collector.headers[0]["authorization"] == "Bearer token"
