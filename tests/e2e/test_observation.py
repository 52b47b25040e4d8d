"""A request of a real server is explained and traced: batch, sizes, worker and stages."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span
from tests.support.collector import Collector, attributes, collecting
from typer.testing import CliRunner

import naiad
from naiad import testing
from naiad.cli.main import app
from naiad.triton.repository import export
from naiad.triton.server import Server

PIPELINES = Path(__file__).parents[1] / "unit" / "runtime" / "degree.py"
SLOW = """

class Slow(Degree):
    def forward(self, batch):
        time.sleep(0.02)
        return super().forward(batch)


class SlowTrouble(Trouble):
    def forward(self, batch):
        time.sleep(0.02)
        return super().forward(batch)
"""
STAGES = ["queue", "send", "prepare", "collate", "forward", "split", "finish", "reply"]


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[Server]:
    repository = tmp_path_factory.mktemp("models")
    file = tmp_path_factory.mktemp("pipelines") / "slow.py"
    file.write_text(PIPELINES.read_text() + SLOW)
    for name in ("Slow", "SlowTrouble"):
        export(f"{file}:{name}", repository, instances=1)
    settings: dict[str, Any] = {"otlp": collector.url, "trace_rate": 0.0, "history": 50}
    with testing.serve(model_repository=repository, **settings) as server:
        yield server


def explained(server: Server, *arguments: str, fails: bool = False) -> str:
    done = CliRunner().invoke(app, ["explain", *arguments, "--url", server.grpc_url])
    assert (done.exit_code != 0) is fails, done.output
    return str(done.exception) if fails else done.output


def read(server: Server, *arguments: str) -> list[dict[str, Any]]:
    return json.loads(explained(server, *arguments, "--json"))


def graph(nodes: int, code: float = 100.0) -> dict[str, Any]:
    x = np.zeros((nodes, 2), np.float32)
    x[0, 0] = code
    return {"x": x, "edge_index": np.zeros((2, 2 * nodes), np.int64)}


@pytest.mark.parametrize(
    ("model", "stages"),
    [("slow_trouble", STAGES), ("slow", ["queue", "send", "collate", "forward", "reply"])],
)
def test_requests_that_came_together_are_explained(
    server: Server, model: str, stages: list[str]
) -> None:
    with naiad.Client(server.grpc_url) as client, ThreadPoolExecutor(8) as pool:
        began = time.time()
        names = [f"{model}-{n}" for n in range(16)]
        [*pool.map(lambda n: client.infer(model, graph(n + 1), request_id=names[n]), range(16))]
        ended = time.time()
    found = [one for name in names for one in read(server, name)]
    assert [one["id"] for one in found] == names
    batches: dict[int, list[dict[str, Any]]] = {}
    for number, one in enumerate(found):
        assert one["rows"] == {"requests": 1, "nodes": number + 1, "edges": 2 * number + 2}
        assert (one["model"], one["version"], one["error"]) == (model, 1, "")
        assert began - 0.1 < one["arrived"] <= one["arrived"] + one["seconds"] < ended + 0.1
        assert [stage["name"] for stage in one["stages"]] == stages
        for stage in one["stages"]:
            assert 0 <= stage["began"] <= stage["ended"] <= one["seconds"] + 1e-6
        assert psutil.pid_exists(one["batch"]["pid"])
        batches.setdefault(one["batch"]["number"], []).append(one)
    assert len(batches) < 16
    for together in batches.values():
        assert {one["batch"]["requests"] for one in together} == {len(together)}
        rows = together[0]["batch"]["rows"]
        assert rows["nodes"] == sum(one["rows"]["nodes"] for one in together)
        assert rows["edges"] == 2 * rows["nodes"]


def test_requests_that_failed_and_of_one_id_are_listed(server: Server) -> None:
    with naiad.Client(server.grpc_url, retries=0) as client:
        with pytest.raises(naiad.InvalidInput):
            client.infer("slow_trouble", graph(1) | {"edge_index": [[0], [7]]}, request_id="twice")
        own = {"naiad_priority": 99, "traceparent": f"00-{7:032x}-{8:016x}-00"}
        with pytest.raises(naiad.InvalidInput, match="naiad_priority"):
            client.infer("slow", graph(1), request_id="refused", parameters=own)
        with pytest.raises(naiad.PipelineError):
            client.infer("slow_trouble", graph(1, code=666), request_id="twice")
        with pytest.raises(naiad.Unavailable):  # it kills its worker
            client.infer("slow_trouble", graph(1, code=3), request_id="deadly")
        client.infer("slow_trouble", graph(1), request_id="well")
    read(server, "well")  # waits for its record
    assert [one["error"] for one in read(server, "twice")] == ["InvalidInput", "PipelineError"]
    assert [one["error"] for one in read(server, "--last", "-n", "2")] == ["Unavailable", ""]
    assert read(server, "deadly")[0]["batch"] is None
    assert read(server, "refused")[0]["span"] == f"{8:016x}"
    assert "was answered after" in explained(server, "--last")
    listed = explained(server, "twice")
    assert "InvalidInput" in listed
    assert "PipelineError" in listed
    assert "no request of-nobody: the server" in explained(server, "of-nobody", fails=True)


def test_a_request_is_traced_below_its_clients_span(server: Server, collector: Collector) -> None:
    trace, parents = 0x4BF92F3577B34DA6A3CE929D0E0E4736, {"grpc_url": 17, "http_url": 18}
    for url, parent in parents.items():
        own = NonRecordingSpan(SpanContext(trace, parent, False, TraceFlags(1)))
        with naiad.Client(getattr(server, url)) as client, use_span(own):
            client.infer("slow_trouble", graph(3), request_id=url)
        with naiad.Client(server.grpc_url) as client:  # not sampled
            client.infer("slow_trouble", graph(3))
    spans = collector.wait(18)
    assert {span.trace_id.hex() for span in spans} == {f"{trace:032x}"}
    for url, parent in parents.items():
        (one,) = (span for span in spans if attributes(span).get("naiad.request_id") == url)
        assert one.parent_span_id.hex() == f"{parent:016x}"
        assert one.name == "infer slow_trouble"
        found = attributes(one)
        assert (found["naiad.nodes"], found["naiad.edges"]) == (3, 6)
        assert (found["naiad.batch.nodes"], found["naiad.neighbours"]) == (3, 0)
        below = [span for span in spans if span.parent_span_id == one.span_id]
        assert [span.name for span in below] == STAGES
        start, end = one.start_time_unix_nano, one.end_time_unix_nano
        for span in below:
            assert start <= span.start_time_unix_nano <= span.end_time_unix_nano <= end + 1000
    assert [one["id"] for one in read(server, f"{trace:032x}")] == [*parents]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x" * 55,
        f"00-{1:032x}-{2:016x}",
        f"ff-{1:032x}-{2:016x}-01",
        f"00-{0:032x}-{2:016x}-01",
        f"00-{1:032x}-{2:016x}-01-more",
        f"00-{1:032x}-{2:016x}-0G",
    ],
)
def test_a_malformed_traceparent_is_ignored(server: Server, text: str) -> None:
    with naiad.Client(server.grpc_url) as client:
        client.infer("slow", graph(1), request_id=text, parameters={"traceparent": text})
    found = read(server, text)[-1] if text else read(server, "--last")[0]
    assert found["trace"] == ""
