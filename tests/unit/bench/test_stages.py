from __future__ import annotations

import pytest
from tests.support.ports import free_port

from naiad.bench.stages import Counters, Meter, counters, share
from naiad.errors import Unavailable
from naiad.triton.prometheus import metrics_url, parse_metrics

EXPOSED = """
# TYPE naiad_requests_total counter
naiad_requests_total{model="degree",version="1"} 12
naiad_requests_total{model="degree",version="2"} 8
naiad_requests_total{model="other",version="1"} 99
naiad_batches_total{model="degree",version="1"} 10
naiad_batch_items_sum{dimension="requests",model="degree",version="1"} 20
naiad_batch_items_sum{dimension="nodes",model="degree",version="1"} 160
naiad_stage_seconds_sum{model="degree",stage="queue",version="1"} 2
naiad_stage_seconds_sum{model="degree",stage="forward",version="1"} 1
nv_inference_count{model="degree",version="1"} 20
"""


def test_a_models_counters_are_summed_over_its_versions():
    found = counters(parse_metrics(EXPOSED), "degree")
    assert found == Counters(
        requests=20,
        batches=10,
        items={"requests": 20, "nodes": 160},
        seconds={"queue": 2, "forward": 1},
    )
    assert counters(parse_metrics(EXPOSED), "simple") is None


def test_the_parts_of_a_request_add_up_to_its_latency():
    before = Counters(10, 5, {"requests": 10}, {"queue": 1.0})
    after = Counters(20, 9, {"requests": 20, "nodes": 80}, {"queue": 2.0, "forward": 0.5})
    found = share(before, after, mean_latency=0.4)
    assert found is not None
    assert (found.requests, found.batches) == (10, 4)
    assert found.batch == {"requests": 2.5, "nodes": 20}
    assert found.waits["queue"] == pytest.approx(0.1)
    assert found.waits["forward"] == pytest.approx(0.05)
    assert found.outside + sum(found.waits.values()) == pytest.approx(0.4)


def test_without_batches_there_are_no_shares():
    same = Counters(10, 5, {}, {})
    assert share(same, same, mean_latency=0.1) is None


@pytest.mark.parametrize(
    ("given", "host", "url"),
    [
        (None, "gpu-server", "http://gpu-server:8002/metrics"),
        (None, "::1", "http://[::1]:8002/metrics"),
        ("localhost:9002", "gpu-server", "http://localhost:9002/metrics"),
        ("https://gate/triton/metrics", "gpu-server", "https://gate/triton/metrics"),
    ],
)
def test_where_the_metrics_are(given, host, url):
    assert metrics_url(given, host) == url


async def test_a_server_without_metrics_is_reported_with_their_address():
    port = free_port()
    url = f"http://127.0.0.1:{port}/metrics"
    with pytest.raises(Unavailable, match=f"no metrics at {url}"):
        await Meter(url, "degree").read()
