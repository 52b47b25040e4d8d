"""A user's pipelines on the real Triton: requests are merged, isolated and always answered."""

from __future__ import annotations

import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import psutil
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tests.support.metrics import counts, families

import naiad
from naiad import testing
from naiad.bench.stages import STAGES
from naiad.triton.exposition import open_metrics_text, parse_families
from naiad.triton.repository import export

PIPELINES = Path(__file__).parents[1] / "unit" / "runtime" / "degree.py"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    repository = tmp_path_factory.mktemp("models")
    for name in ("Trouble", "Bytes", "Ranked", "Scribbler"):
        export(f"{PIPELINES}:{name}", repository, instances=1)
    export(f"{PIPELINES}:Threads", repository, instances=2)
    with testing.serve(model_repository=repository) as s:
        yield s


def graph(nodes=3, code=100.0, edges=4, seed=0):
    rng = np.random.default_rng(seed)
    x = np.zeros((nodes, 2), np.float32)
    x[:1, 0] = code
    return {"x": x, "edge_index": rng.integers(0, nodes, (2, edges))}


def ask_all(server, requests, model="trouble"):
    """Send all requests at once; return outputs or errors, in order."""
    with naiad.Client(server.grpc_url, retries=0) as client:

        def ask(request):
            try:
                return client.infer(model, request)
            except naiad.NaiadError as error:
                return error

        with ThreadPoolExecutor(len(requests)) as pool:
            return list(pool.map(ask, requests))


def test_concurrent_requests_are_merged_and_each_gets_its_own_answer(server):
    before = server.metric("naiad_batches_total", model="trouble")
    requests = [graph(1 + n % 5, code=100 + n, seed=n) for n in range(32)]
    for request, outputs in zip(requests, ask_all(server, requests), strict=True):
        assert outputs["total"][0] == request["x"].sum()
        expected = np.bincount(request["edge_index"][1], minlength=len(request["x"]))
        np.testing.assert_array_equal(outputs["degree"], expected)
    time.sleep(0.5)
    assert server.metric("naiad_batches_total", model="trouble") - before < 32


@pytest.mark.parametrize("model", ["trouble", "scribbler"])
def test_one_bad_graph_fails_alone(server, model):
    requests = [graph(code=666 if n == 3 else 100 + n, seed=n) for n in range(8)]
    answers = ask_all(server, requests, model)
    assert isinstance(answers[3], naiad.PipelineError)
    assert "the number of the beast" in str(answers[3])
    assert [a["total"][0] for n, a in enumerate(answers) if n != 3] == [
        100 + n for n in range(8) if n != 3
    ]


def test_an_index_out_of_range_never_reaches_the_model(server):
    bad = graph() | {"edge_index": np.array([[0], [7]])}
    with pytest.raises(
        naiad.InvalidInput, match=r"edge_index\[1, 0\] is 7; it must be 0 to 2: there are 3 nodes"
    ):
        server.client().infer("trouble", bad)


def test_wrong_values_fail_their_own_request_and_neighbours_are_answered(server):
    wrong = {2: r"x\[1, 1\] is nan; it must be finite", 5: "edge_index", 9: r"x\[1, 1\] is inf"}
    requests = [graph(code=100 + n, seed=n) for n in range(12)]
    requests[2]["x"][1, 1] = np.nan
    requests[5]["edge_index"][1, 0] = 7
    requests[9]["x"][1, 1] = np.inf
    for number, answer in enumerate(ask_all(server, requests)):
        if number in wrong:
            assert isinstance(answer, naiad.InvalidInput)
            assert re.search(wrong[number], str(answer))
        else:
            assert answer["total"] == [100 + number]


def test_a_killed_worker_fails_only_its_own_request(server):
    requests = [graph(code=3 if n == 2 else 100 + n, seed=n) for n in range(6)]
    answers = ask_all(server, requests)
    assert isinstance(answers[2], naiad.Unavailable)
    assert "ended by signal 9" in str(answers[2])
    assert [a["total"][0] for n, a in enumerate(answers) if n != 2] == [100, 101, 103, 104, 105]
    assert server.client().infer("trouble", graph())["total"] == [100]


def test_a_request_over_the_limit_is_refused_by_dimension(server):
    with pytest.raises(naiad.InvalidInput, match="has 1,001 nodes; this model takes at most 1,000"):
        server.client().infer("trouble", graph(1001))


def test_only_requested_outputs_are_sent(server):
    assert list(server.client().infer("trouble", graph(), outputs=["total"])) == ["total"]


@pytest.mark.parametrize("url", ["grpc_url", "http_url"])
def test_bytes_keep_their_trailing_nuls(server, url):
    text = np.array([b"abc\x00", b"", b"\xff\x00\x00"], dtype=object)
    with naiad.Client(getattr(server, url)) as client:
        outputs = client.infer("bytes", text=text)
    assert outputs["reversed"].tolist() == [b"\x00cba", b"", b"\x00\x00\xff"]
    assert outputs["length"].tolist() == [4, 0, 3]


def test_the_bytes_of_a_tensor_are_counted_before_they_are_read(server):
    client = server.client()
    client.infer("bytes", text=np.array([b"x" * 999, b"", b"y"], object))
    with pytest.raises(naiad.InvalidInput, match="has 1,001 bytes; this model takes at most 1,000"):
        client.infer("bytes", text=np.array([b"x" * 999, b"", b"yz"], object))


@pytest.mark.parametrize("triton", [triton_grpc, triton_http])
def test_classification_gives_the_labels_of_every_row_of_a_batch(server, triton):
    x = np.zeros((2, 2, 2, 3), np.float32)
    x[0, 0, 0], x[1, 0, 0] = (1, 3, 2), (9, 7, 8)
    url = server.grpc_url if triton is triton_grpc else server.http_url.removeprefix("http://")
    client = triton.InferenceServerClient(url)
    given = triton.InferInput("x", list(x.shape), "FP32").set_data_from_numpy(x)
    wanted = triton.InferRequestedOutput("a/score", class_count=2)
    top = client.infer("ranked", [given], outputs=[wanted]).as_numpy("a/score")
    client.close()
    assert top.tolist() == [
        [b"3.000000:1:green: light", b"2.000000:2:blue"],
        [b"9.000000:0:red", b"8.000000:2:blue"],
    ]


def test_batched_requests_are_merged_and_bounded_by_triton(server):
    rng = np.random.default_rng(0)
    requests = [{"x": rng.random((1 + n % 4, 2, 2, 3), np.float32)} for n in range(16)]
    for request, outputs in zip(requests, ask_all(server, requests, "ranked"), strict=True):
        np.testing.assert_allclose(outputs["a/score"], request["x"].sum((1, 2)), rtol=1e-6)
    with pytest.raises(naiad.InvalidInput, match="takes batches of 1 to 4"):
        server.client().infer("ranked", {"x": np.zeros((5, 2, 2, 3), np.float32)})


def test_abandoned_requests_leave_the_model_working(server):
    request = graph(code=4)  # sleeps longer than anyone waits
    with triton_grpc.InferenceServerClient(server.grpc_url) as client:
        inputs = []
        for name, array in request.items():
            kind = "FP32" if array.dtype == np.float32 else "INT64"
            inputs.append(triton_grpc.InferInput(name, list(array.shape), kind))
            inputs[-1].set_data_from_numpy(array)
        waiting = [
            client.async_infer("trouble", inputs, callback=lambda result, error: None)
            for _ in range(3)
        ]
        time.sleep(0.3)
        for call in waiting:
            call.cancel()
    (worker,) = (
        process
        for process in psutil.Process(server.pid).children(recursive=True)
        if "Trouble" in " ".join(process.cmdline())
    )
    worker.kill()  # it sleeps in prepare(); its batch is run again, without the cancelled requests
    assert server.client().infer("trouble", graph(), timeout=30)["total"] == [100]


def test_histograms_add_up_after_errors_too(server):
    requests = [graph(1 + n % 5, code=666 if n == 3 else 100 + n, seed=n) for n in range(8)]
    ask_all(server, [*requests, graph(1001)])
    ask_all(server, [{"x": np.array([b"a"], object)}], "bytes")
    time.sleep(0.5)  # they are counted after the answer
    found = families(open_metrics_text(parse_families(urlopen(server.metrics_url).read().decode())))
    answered = {s.labels["model"]: s.value for s in found["naiad_requests"].samples}
    batches = {s.labels["model"]: s.value for s in found["naiad_batches"].samples}
    failed = {(s.labels["model"], s.labels["kind"]) for s in found["naiad_errors"].samples}
    assert failed >= {("trouble", "PipelineError"), ("trouble", "InvalidInput")}
    seconds = counts(found["naiad_request_seconds"])
    assert {dict(labels)["model"]: n for labels, n in seconds.items()} == answered
    rows = counts(found["naiad_batch_items"])
    assert {dict(labels)["dimension"] for labels in rows} >= {"requests", "nodes", "edges"}
    assert all(n == batches[dict(labels)["model"]] for labels, n in rows.items())
    stages = counts(found["naiad_stage_seconds"])
    assert {dict(labels)["stage"] for labels in stages} == {*STAGES}
    ran = {labels: n for labels, n in stages.items() if dict(labels)["model"] == "trouble"}
    # An input that is refused at once has no stage; one that is cancelled had only the queue.
    assert all(8 <= n < answered["trouble"] for n in ran.values())


def test_errors_are_counted_by_kind(server):
    labels = {"model": "trouble", "kind": "InvalidInput"}
    before = server.metric("naiad_errors_total", **labels)
    with pytest.raises(naiad.InvalidInput):
        server.client().infer("trouble", graph(1001))
    time.sleep(0.5)
    assert server.metric("naiad_errors_total", **labels) == before + 1


def test_a_lone_request_has_all_cores_and_two_at_once_their_shares(server):
    def threads(at_once):
        request = {"x": np.zeros(1, np.float32)}
        return [int(one["threads"][0]) for one in ask_all(server, [request] * at_once, "threads")]

    cores, lone = len(os.sched_getaffinity(0)), [0]
    # Batches that ran at once are remembered for 2 s; and a quota may leave fewer cores.
    while len(lone) < 30 and lone[-1] != cores:
        lone += threads(1)
    share = max(1, lone[-1] // 2)
    # On a busy machine, two may not overlap at first.
    assert any(threads(2) == [share, share] for _ in range(10))
    assert any(threads(1) == lone[-1:] for _ in range(30))
