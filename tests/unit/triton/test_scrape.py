"""One address has the metrics of Triton, the supervisor and the gate."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from tests.support.metrics import families

from naiad.errors import EngineError
from naiad.triton.health import Health, HealthEndpoint
from naiad.triton.scrape import Scrape, latencies

BUCKETS = """# TYPE naiad_request_seconds_bucket counter
naiad_request_seconds_bucket{model="a",version="1",le="+Inf"} 1
# TYPE naiad_request_seconds_sum counter
naiad_request_seconds_sum{model="a",version="1"} 0.5
# TYPE naiad_request_seconds_count counter
naiad_request_seconds_count{model="a",version="1"} 1
"""


@dataclass(frozen=True)
class Past:
    model: str
    version: int
    arrived: float
    seconds: float
    trace: str


def down() -> str:
    raise EngineError("the server does not answer")


def values(text: str, family: str) -> dict[str, float]:
    return {s.labels.get("model", ""): s.value for s in families(text)[family].samples}


@pytest.mark.parametrize("sources", [(), (down, lambda: BUCKETS)])
def test_the_supervisor_reports_whether_or_not_triton_answers(
    sources: tuple[Callable[[], str], ...],
):
    health = Health(patience=30)
    health.serving(["a", "b"])
    health.found("b", "no answer")
    health.restarting("a died")
    health.gate("it died")
    scrape = Scrape(health.report, sources)
    for accept in ("", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"):
        _, text = scrape.answer(accept)
        assert values(text, "naiad_server_ready") == {"": 0}
        assert values(text, "naiad_server_restarts") == {"": 1}
        assert values(text, "naiad_model_ready") == {"a": 0, "b": 0}
        assert values(text, "naiad_gate_ready") == {"": 0}
        assert ("naiad_request_seconds" in families(text)) == bool(sources)
    health.serving(["a", "b"])
    health.gate("")
    assert values(scrape.answer("")[1], "naiad_model_ready") == {"a": 1, "b": 1}
    assert values(scrape.answer("")[1], "naiad_server_ready") == {"": 1}


def test_the_health_port_answers_in_the_format_that_is_asked_for():
    health = Health(patience=30)
    endpoint = HealthEndpoint(health, "127.0.0.1", 0)

    def ask(**headers: str) -> tuple[int, str | None, str]:
        connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=10)
        connection.request("GET", "/metrics", headers=headers)
        answer = connection.getresponse()
        found = answer.status, answer.getheader("Content-Type"), answer.read().decode()
        connection.close()
        return found

    try:
        assert ask()[0] == 404, "it is closed until metrics are shared"
        past = [Past("a", 1, 100.0, 0.5, "a" * 32), Past("a", 1, 101.0, 0.5, "")]
        scrape = Scrape(health.report, [lambda: BUCKETS], lambda: latencies(past))
        endpoint.share_metrics(scrape)
        status, kind, text = ask()
        assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
        assert families(text)["naiad_request_seconds"].type == "histogram"
        assert "trace_id" not in text
        status, kind, text = ask(Accept="application/openmetrics-text;version=1.0.0")
        assert kind == "application/openmetrics-text; version=1.0.0; charset=utf-8"
        (bucket, *_) = families(text)["naiad_request_seconds"].samples
        assert bucket.exemplar is not None
        assert bucket.exemplar.labels == {"trace_id": "a" * 32}
        assert float(bucket.exemplar.timestamp) == 100.5
    finally:
        endpoint.close()
