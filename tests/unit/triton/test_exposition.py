"""What several sources say is one exposition, which Prometheus' own parsers accept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.metrics import counts, families

from naiad.triton.exposition import (
    Exemplar,
    Family,
    open_metrics_text,
    parse_families,
    prometheus_text,
)
from naiad.triton.prometheus import Sample, parse_metrics

TRITON = r"""# HELP nv_inference_request_success Number of successful inference requests
# TYPE nv_inference_request_success counter
nv_inference_request_success{model="gat",version="1"} 42
# HELP naiad_requests_total Requests answered
# TYPE naiad_requests_total counter
naiad_requests_total{model="gat",version="1"} 4
# TYPE naiad_request_seconds_sum counter
naiad_request_seconds_sum{model="gat",version="1"} 1300000.55
# TYPE naiad_request_seconds_count counter
naiad_request_seconds_count{model="gat",version="1"} 4
# HELP naiad_request_seconds_bucket Seconds of a request
# TYPE naiad_request_seconds_bucket counter
naiad_request_seconds_bucket{le="+Inf",model="gat",version="1"} 4
naiad_request_seconds_bucket{le="1e+06",model="gat",version="1"} 3
naiad_request_seconds_bucket{le="0.25",model="gat",version="1"} 1
naiad_request_seconds_bucket{le="1.0",model="gat",version="1"} 3
# TYPE nv_cpu_utilization gauge
nv_cpu_utilization 0.25
"""
ENVOY = """# TYPE envoy_http_rq counter
envoy_http_rq{code="2"} 7
# TYPE envoy_time histogram
envoy_time_bucket{le="0.5"} 1
envoy_time_bucket{le="10"} 2
envoy_time_bucket{le="+Inf"} 2
envoy_time_sum{} 3.5
envoy_time_count{} 2
"""
BOTH = [*parse_families(TRITON), *parse_families(ENVOY)]


@pytest.mark.parametrize("write", [prometheus_text, open_metrics_text])
def test_counters_that_are_parts_of_a_histogram_become_one(write):
    found = families(write(BOTH))
    assert counts(found["naiad_request_seconds"]) == {(("model", "gat"), ("version", "1")): 4}
    assert counts(found["envoy_time"]) == {(): 2}
    assert found["naiad_request_seconds"].documentation == "Seconds of a request"
    assert found["naiad_requests"].type == "counter"
    assert found["nv_cpu_utilization"].type == "gauge"


def test_no_sample_is_lost_or_renamed_by_the_format():
    def told(text: str) -> set[tuple[str, float, tuple[tuple[str, str], ...]]]:
        return {
            (s.name, s.value, tuple(sorted({**s.labels, "le": ""}.items())))
            for s in parse_metrics(text.replace("{}", ""))
        }

    assert told(prometheus_text(BOTH)) == told(open_metrics_text(BOTH)) == told(TRITON + ENVOY)


def test_a_family_of_two_sources_is_told_once():
    twice = [*parse_families(TRITON), *parse_families(TRITON.replace('"gat"', '"simple"'))]
    found = families(open_metrics_text(twice))
    assert {s.labels["model"] for s in found["naiad_requests"].samples} == {"gat", "simple"}
    assert len(counts(found["naiad_request_seconds"])) == 2


def test_each_bucket_has_its_latest_exemplar():
    labels = {"model": "gat", "version": "1"}
    traces = [
        Exemplar("naiad_request_seconds", labels, 0.3, "a" * 32, 100.5),
        Exemplar("naiad_request_seconds", labels, 0.9, "b" * 32, 101.5),
        Exemplar("naiad_request_seconds", labels, 0.7, "c" * 32, 99.5),
        Exemplar("naiad_request_seconds", {**labels, "model": "gone"}, 0.7, "d" * 32, 102.5),
        Exemplar("naiad_request_seconds", labels, 2e6, "e" * 32, 99.5),
        Exemplar("naiad_requests_total", labels, 1, "f" * 32, 99.5),
    ]
    samples = families(open_metrics_text(BOTH, traces))["naiad_request_seconds"].samples
    found = {s.labels["le"]: s.exemplar for s in samples if s.exemplar is not None}
    assert {le: one.labels["trace_id"][0] for le, one in found.items()} == {"1.0": "b", "+Inf": "e"}
    assert found["1.0"].value == 0.9
    assert float(found["1.0"].timestamp) == 101.5
    assert "trace_id" not in prometheus_text(BOTH)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), st.floats(allow_nan=False))
def test_any_label_and_number_is_read_as_it_was_written(text: str, value: float):
    given = [Family("m", "gauge", text, [Sample("m", {"model": text}, value)])]
    for write in (prometheus_text, open_metrics_text):
        (sample,) = families(write(given))["m"].samples
        assert (sample.labels["model"], sample.value) == (text, value)
        assert list(parse_metrics(write(given))) == given[0].samples
