"""GAT on the real server, with the requests of its existing clients."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
import tritonclient.grpc as grpcclient
from tests.unit.applications.gat.graphs import random_graph
from tritonclient.utils import InferenceServerException
from typer.testing import CliRunner

import naiad
from naiad import testing
from naiad.applications.gat.graphs import read_graph, write_graph
from naiad.applications.gat.pipeline import Gat
from naiad.applications.gat.simulate import simulate
from naiad.applications.gat.weights import load_weights
from naiad.cli.main import app
from naiad.triton.server import Server

REQUESTS = 50


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with testing.serve("gat", instances=1) as server:
        yield server


def in_process(request: dict[str, np.ndarray]) -> np.ndarray:
    """Answer with the default weights, without a server."""
    folder = Gat().weights_path
    assert folder is not None
    net, _ = load_weights(folder)
    with torch.inference_mode():
        return net(*(torch.from_numpy(array) for array in request.values())).numpy()


def ask(client: grpcclient.InferenceServerClient, request: dict[str, np.ndarray]) -> np.ndarray:
    """Send one request with NVIDIA's client alone, as the public example does."""
    inputs = []
    for name, datatype in (("x__0", "FP32"), ("edgeindex__1", "INT64")):
        inputs.append(grpcclient.InferInput(name, list(request[name].shape), datatype))
        inputs[-1].set_data_from_numpy(request[name])
    outputs = [grpcclient.InferRequestedOutput("logits__0")]
    answer = client.infer("gat_test", inputs, outputs=outputs, client_timeout=60)
    return answer.as_numpy("logits__0")


def the_existing_client_passes(url: str) -> None:
    """Send 50 random graphs of 100 to 4,000 nodes, then read the model's statistics."""
    rng = np.random.default_rng(0)
    with grpcclient.InferenceServerClient(url) as client:
        assert client.is_model_ready("gat_test")
        for number in range(REQUESTS):
            nodes, edges = int(rng.integers(100, 4_000)), int(rng.integers(8_000, 15_000))
            request = random_graph(nodes, edges, number)
            logits = ask(client, request)
            assert logits.shape == (nodes, 7)
            assert logits.dtype == np.float32
            if number % 10 == 0:
                np.testing.assert_allclose(logits, in_process(request), rtol=1e-4, atol=1e-3)
        # Triton counts a request on release, which may be after its reply arrives.
        deadline = time.monotonic() + 10
        while True:
            statistics = client.get_inference_statistics(model_name="gat_test")
            assert len(statistics.model_stats) == 1
            (stats,) = statistics.model_stats
            assert stats.name == "gat_test"
            if stats.inference_stats.success.count >= REQUESTS or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        assert stats.inference_stats.success.count in (REQUESTS, REQUESTS + 1)  # plus the probe
        assert stats.inference_stats.fail.count == 0


def test_the_existing_client_passes(server: Server) -> None:
    the_existing_client_passes(server.grpc_url)


@pytest.fixture(scope="module", params=["batched", "plain"])
def exported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Serve the network as TorchScript from a plain repository, with and without our batching."""
    repository = tmp_path_factory.mktemp("exported")
    words = ["export", "gat", str(repository), "--format", "torchscript"]
    words += ["--no-batching"] if request.param == "plain" else []
    assert CliRunner().invoke(app, words).exit_code == 0
    with naiad.serve(
        model_repository=repository, http_port=0, grpc_port=0, metrics_port=0
    ) as server:
        yield server


def test_the_existing_client_passes_with_the_exported_model(exported: Server) -> None:
    the_existing_client_passes(exported.grpc_url)


def test_the_contract_is_the_existing_one(server: Server) -> None:
    config = server.client().config("gat_test")
    assert config.get("max_batch_size", 0) == 0
    tensors = {
        tensor["name"]: (tensor["data_type"], [int(dim) for dim in tensor["dims"]])
        for tensor in [*config["input"], *config["output"]]
    }
    assert tensors == {
        "x__0": ("TYPE_FP32", [-1, 1433]),
        "edgeindex__1": ("TYPE_INT64", [2, -1]),
        "logits__0": ("TYPE_FP32", [-1, 7]),
    }
    assert "synthetic citation graph" in config["parameters"]["notice"]["string_value"]


def test_many_clients_get_their_own_answers_and_one_bad_graph_only_its_own_error(
    server: Server,
) -> None:
    bad = many_clients_get_their_own_answers(server)
    assert bad == "edgeindex__1[1, 3] is 1000; it must be 0 to 16: there are 17 nodes"


def test_many_clients_of_the_exported_model_get_their_own_answers(exported: Server) -> None:
    bad = many_clients_get_their_own_answers(exported)
    merged = "naiad_dims" in exported.client().config("gat_test")["parameters"]
    says = "edgeindex__1[1, 3] is 1000; it must be 0 to 16" if merged else "out of range"
    assert says in bad


def many_clients_get_their_own_answers(server: Server) -> str:
    """Send 40 graphs at once, of which all but one are answered; return that one's error."""
    requests = [random_graph(10 + number, 40, number) for number in range(40)]
    requests[7]["edgeindex__1"][1, 3] = 1_000

    def answer(request: dict[str, np.ndarray]) -> np.ndarray | str:
        with grpcclient.InferenceServerClient(server.grpc_url) as client:
            try:
                return ask(client, request)
            except InferenceServerException as error:
                return str(error.message())

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(answer, requests))
    bad = answers.pop(7)
    requests.pop(7)
    for found, request in zip(answers, requests, strict=True):
        np.testing.assert_allclose(found, in_process(request), rtol=1e-4, atol=1e-3)
    assert isinstance(bad, str)
    return bad


def test_the_typed_client_and_the_command_say_the_same(server: Server, tmp_path: Path) -> None:
    graph = simulate(200, seed=9)
    write_graph(tmp_path / "g.npz", graph)
    result = server.client().gat.infer(read_graph(tmp_path / "g.npz"))
    share, papers = result.accuracy()
    assert papers == 80
    assert share > 0.7
    words = ["infer", "gat", tmp_path / "g.npz", "--url", server.grpc_url]
    words += ["-o", tmp_path / "t.npz", "--plot", tmp_path / "g.png"]
    done = CliRunner().invoke(app, list(map(str, words)))
    assert done.exit_code == 0, done.output
    assert f"{share:.1%} of 80 test papers" in done.output
    assert "synthetic citation graph" in done.output
    with np.load(tmp_path / "t.npz") as file:
        np.testing.assert_allclose(file["logits"], result.logits, rtol=1e-4, atol=1e-3)
    assert (tmp_path / "g.png").stat().st_size > 10_000
