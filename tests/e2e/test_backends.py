"""A usual Triton repository of exported models, on the embedded engine."""

import json
import os
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from tests.support.exported import (
    CLASSES,
    AddSub,
    Dense,
    Neighbours,
    dense_onnx,
    echo_onnx,
    graph,
    load_script,
    neighbours_onnx,
    save_export,
    script,
    trace,
)
from tests.support.forks import new_processes
from tests.support.triton import FREE

import naiad
from naiad import testing
from naiad.errors import EngineError, InvalidInput, PipelineError
from naiad.triton.lint.repository import check_repository
from naiad.triton.server import Server

GRAPH = """
input [ { name: "x__0" data_type: TYPE_FP32 dims: [-1, 8] },
        { name: "edgeindex__1" data_type: TYPE_INT64 dims: [2, -1] } ]
output { name: "logits__0" data_type: TYPE_FP32 dims: [-1, 3] }
"""
DIMS = """parameters { key: "naiad_dims" value { string_value:
  "x__0: nodes, 8; edgeindex__1: 2, edges -> nodes; logits__0: nodes, 3" } }
parameters { key: "naiad_instances" value { string_value: "1" } }
"""
ONNX_DIMS = DIMS.replace("x__0", "x").replace("edgeindex__1", "edge_index")
CONFIGS = {
    "gat_like": 'platform: "pytorch_libtorch" max_batch_size: 0' + GRAPH,
    "exported": 'backend: "pytorch" default_model_filename: "model.pt2"' + GRAPH,
    "merged": 'platform: "pytorch_libtorch"' + GRAPH + DIMS,
    "merged_onnx": 'platform: "onnxruntime_onnx"'
    + GRAPH.replace("x__0", "x")
    .replace("edgeindex__1", "edge_index")
    .replace("logits__0", "scores")
    + ONNX_DIMS.replace("logits__0", "scores"),
    "dense": """platform: "pytorch_libtorch" max_batch_size: 8
input { name: "x" data_type: TYPE_FP32 dims: [8] }
output { name: "y__0" data_type: TYPE_FP32 dims: [3] }
dynamic_batching { max_queue_delay_microseconds: 100000 }
instance_group { count: 1 kind: KIND_CPU }
parameters { key: "INFERENCE_MODE" value { string_value: "true" } }
model_warmup { name: "once" batch_size: 2
  inputs { key: "x" value { data_type: TYPE_FP32 dims: [8] random_data: true } } }
""",
    "echo": """backend: "onnxruntime"
input [ { name: "words" data_type: TYPE_STRING dims: [-1] },
        { name: "numbers" data_type: TYPE_INT64 dims: [4] } ]
output [ { name: "echoed" data_type: TYPE_STRING dims: [-1] },
         { name: "doubled" data_type: TYPE_INT64 dims: [4] } ]
""",
    "open": """backend: "openvino" max_batch_size: 8
input { name: "x" data_type: TYPE_FP32 dims: [8] }
output { name: "y" data_type: TYPE_FP32 dims: [3] }
instance_group { count: 1 kind: KIND_CPU }
""",
    "versions": """backend: "pytorch" version_policy { specific { versions: [2] } }
input [ { name: "a" data_type: TYPE_INT32 dims: [-1] },
        { name: "b" data_type: TYPE_INT32 dims: [-1] } ]
output [ { name: "sum__0" data_type: TYPE_INT32 dims: [-1] },
         { name: "difference__1" data_type: TYPE_INT32 dims: [-1] } ]
""",
}
REQUESTS, BATCHES = "naiad_requests_total", "naiad_batches_total"
DOUBLE = """
import naiad


class Double(naiad.Pipeline):
    inputs = {"x": naiad.Tensor("float32", ("n",))}
    outputs = {"y": naiad.Tensor("float32", ("n",))}
    arrays = "numpy"

    def forward(self, batch):
        return {"y": 2 * batch["x"]}
"""


def write_repository(root: Path) -> Path:
    for name, text in CONFIGS.items():
        (root / name / "1").mkdir(parents=True)
        (root / name / "config.pbtxt").write_text(text)
    for name in ("gat_like", "merged"):
        trace(Neighbours(), graph(5, 9), root / name / "1" / "model.pt")
    save_export(Neighbours(), graph(5, 9), root / "exported" / "1" / "model.pt2")
    neighbours_onnx(root / "merged_onnx" / "1" / "model.onnx")
    script(Dense(), root / "dense" / "1" / "model.pt")
    echo_onnx(root / "echo" / "1" / "model.onnx")
    for version in ("1", "2"):
        script(AddSub(), root / "versions" / version / "model.pt")
    for name in ("no_config", "open"):
        dense_onnx(root / name / "1" / "model.onnx")
    return root


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("a repository with spaces")
    (root / "double.py").write_text(DOUBLE)
    repository = write_repository(root / "models")
    with testing.serve(f"{root}/double.py:Double", model_repository=repository) as running:
        running.repository = repository
        yield running


@pytest.fixture(scope="module")
def client(server: Server) -> naiad.Client:
    return server.client()


def graph_arrays(nodes: int, edges: int, seed: int = 0) -> dict[str, np.ndarray]:
    x, edge_index = graph(nodes, edges, seed)
    return {"x__0": x.numpy(), "edgeindex__1": edge_index.numpy()}


def counts(server: Server, name: str) -> dict[str, int]:
    with urllib.request.urlopen(f"{server.http_url}/v2/models/{name}/stats") as reply:
        (stats,) = json.load(reply)["model_stats"]
    return {key: int(stats[key]) for key in ("inference_count", "execution_count")}


def by_hand(server: Server, name: str, *tensors: torch.Tensor) -> np.ndarray:
    with torch.inference_mode():
        path = server.repository / name / "1"
        if (path / "model.pt2").exists():
            return torch.export.load(path / "model.pt2").module()(*tensors).numpy()
        return load_script(path / "model.pt")(*tensors).numpy()


def test_every_model_is_ready_beside_a_pipeline(server):
    assert set(server.models) == {*CONFIGS, "no_config", "double"}
    answer = server.client().infer("double", x=np.ones(2, np.float32))
    assert answer["y"].tolist() == [2.0, 2.0]


@pytest.mark.parametrize("name", ["gat_like", "exported", "merged"])
@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_answers_equal_the_files_own_bit_for_bit(server, name, protocol):
    url = server.grpc_url if protocol == "grpc" else server.http_url
    with naiad.Client(url) as client:
        for nodes, edges in ((1, 1), (37, 120), (300, 1500)):
            arrays = graph_arrays(nodes, edges, seed=nodes)
            expected = by_hand(server, name, *map(torch.from_numpy, arrays.values()))
            assert np.array_equal(client.infer(name, arrays)["logits__0"], expected)


def test_a_model_without_a_config_is_completed_from_its_file(server, client):
    config = client.config("no_config")
    assert config["max_batch_size"] == 4
    assert [tensor["name"] for tensor in config["input"]] == ["x"]
    x = np.random.default_rng(0).random((3, 8), np.float32)
    session = onnxruntime.InferenceSession(server.repository / "no_config" / "1" / "model.onnx")
    expected = session.run(None, {"x": x})[0]
    assert np.array_equal(client.infer("no_config", x=x)["y"], expected)
    # The same file by OpenVINO.
    np.testing.assert_allclose(client.infer("open", x=x)["y"], expected, rtol=1e-5)


def test_requests_that_triton_batches_are_run_once_and_split(server, client):
    rng = np.random.default_rng(0)
    before = counts(server, "dense")  # of its warm-up
    assert before["inference_count"] == 2
    given = [rng.random((rows, 8), np.float32) for rows in (1, 2, 1, 3, 1)]
    with ThreadPoolExecutor(len(given)) as pool:
        answers = list(pool.map(lambda x: client.infer("dense", x=x)["y__0"], given))
    for x, answer in zip(given, answers, strict=True):
        expected = by_hand(server, "dense", torch.from_numpy(x))
        np.testing.assert_allclose(answer, expected, rtol=1e-6)
    counted = counts(server, "dense")
    assert counted["inference_count"] - before["inference_count"] == 8
    assert counted["execution_count"] - before["execution_count"] < 5


def test_more_rows_than_the_batch_size_are_refused(client):
    with pytest.raises(InvalidInput, match=r"batch of 9; .* takes batches of 1 to 8"):
        client.infer("dense", x=np.ones((9, 8), np.float32))


def test_strings_pass_through(client):
    words = np.array([b"a", "zwölf".encode(), b""], dtype=object)
    answer = client.infer("echo", words=words, numbers=np.arange(4))
    assert answer["echoed"].tolist() == words.tolist()
    assert answer["doubled"].tolist() == [0, 2, 4, 6]


def test_the_version_chosen_by_the_config_is_served(server, client):
    url = f"{server.http_url}/v2/models/versions"
    with urllib.request.urlopen(url) as reply:
        assert json.load(reply)["versions"] == ["2"]
    answer = client.infer("versions", a=np.arange(3, dtype=np.int32), b=np.ones(3, np.int32))
    assert answer["difference__1"].tolist() == [-1, 0, 1]
    assert answer["sum__0"].tolist() == [1, 2, 3]


def test_an_error_of_the_model_fails_only_its_request(client):
    with pytest.raises(PipelineError, match=r"versions failed: .*size of tensor a \(2\)"):
        client.infer("versions", a=np.ones(2, np.int32), b=np.ones(3, np.int32))
    assert client.infer("versions", a=np.ones(1, np.int32), b=np.ones(1, np.int32))


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("merged", ("x__0", "edgeindex__1", "logits__0")),
        ("merged_onnx", ("x", "edge_index", "scores")),
    ],
)
def test_graphs_are_merged_and_a_bad_one_fails_alone(server, client, name, names):
    """Sixteen clients at once; every fourth sends an edge to a missing node."""
    barrier = threading.Barrier(16)
    before = {what: server.metric(what, model=name) for what in (REQUESTS, BATCHES)}

    def ask(number: int) -> str:
        arrays = graph_arrays(20 + number, 60, seed=number)
        x, edge_index = arrays.values()
        expected = client.infer(name, dict(zip(names, (x, edge_index), strict=False)))[names[2]]
        if number % 4 == 0:
            edge_index[0, 5] = 20 + number
        barrier.wait()
        for _ in range(10):
            given = dict(zip(names, (x, edge_index), strict=False))
            if number % 4 == 0:
                with pytest.raises(InvalidInput, match=rf"{names[1]}\[0, 5\] is {20 + number}"):
                    client.infer(name, given)
            else:
                answer = client.infer(name, given)[names[2]]
                assert answer.shape == (20 + number, CLASSES)
                np.testing.assert_allclose(answer, expected, rtol=1e-5, atol=1e-6)
        return "done"

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(ask, range(16))) == ["done"] * 16
    deadline = time.monotonic() + 10  # metrics are updated a little later
    while (asked := server.metric(REQUESTS, model=name) - before[REQUESTS]) < 16 * 11:
        assert time.monotonic() < deadline, f"{asked} of {16 * 11} requests were counted"
        time.sleep(0.05)
    assert server.metric(BATCHES, model=name) - before[BATCHES] < 12 * 11, "none were merged"


def test_a_config_that_does_not_fit_names_file_and_field(tmp_path):
    model = tmp_path / "models" / "broken"
    trace(Neighbours(), graph(5, 9), model / "1" / "model.pt")
    (model / "config.pbtxt").write_text(CONFIGS["gat_like"].replace("x__0", "x__7"))
    wrong = r"broken/config\.pbtxt: input\[0\]\.name is 'x__7', with index 7"
    with pytest.raises(EngineError, match=wrong):
        Server(tmp_path / "models", **FREE).start()


INCEPTION = """platform: "tensorflow_graphdef" max_batch_size: 128 dynamic_batching { }
input { name: "input" data_type: TYPE_FP32 dims: [299, 299, 3] }
output { name: "InceptionV3/Predictions/Softmax" data_type: TYPE_FP32 dims: [1001] }
"""


@new_processes
def test_without_tensorflow_its_models_are_refused_with_the_ways_to_serve_them(
    tmp_path, monkeypatch: pytest.MonkeyPatch
):
    # A Python without TensorFlow, whatever is installed here: for the worker, and this process.
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['tensorflow'] = None\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    model = tmp_path / "models" / "classifier"
    (model / "1").mkdir(parents=True)
    (model / "1" / "model.graphdef").touch()
    (model / "config.pbtxt").write_text(INCEPTION)
    with pytest.raises(EngineError, match="needs TensorFlow, which is not installed") as raised:
        Server(tmp_path / "models", **FREE).start()
    (finding,) = check_repository(tmp_path / "models", load_files=False).models["classifier"]
    assert finding.severity == "error"
    for message in (str(raised.value), finding.message):
        assert "1/model.graphdef needs TensorFlow" in message
        assert '[tensorflow]"' in message
        for part in (
            "-m tf2onnx.convert --graphdef",
            "--inputs input:0 --rename-inputs input",
            'set backend: "onnxruntime"',
            "naiad serve inception_graphdef",
        ):
            assert part in message
