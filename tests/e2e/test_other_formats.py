"""Networks trained or saved elsewhere: weights of DGL, ONNX files; and clients without torch."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.support.markdown import ROOT

from naiad import testing
from naiad.client import Client
from naiad.core.pipeline import load_pipeline
from naiad.core.user_modules import load_module

CLIENTS = 16
EXAMPLES = ROOT / "examples"


def example(name: str) -> dict[str, Any]:
    return vars(load_module(f"{EXAMPLES / name}.py:main"))


def graph(nodes: int, features: int, edges: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(nodes)
    return {
        "x": rng.standard_normal((nodes, features)).astype(np.float32),
        "edge_index": rng.integers(0, nodes, (2, edges)),
    }


def compare(
    client: Client,
    model: str,
    output: str,
    features: int,
    expected: Callable[..., np.ndarray],
) -> None:
    """Assert that clients at the same time get what is computed in process."""
    graphs = [graph(3 + n, features, 7 * n) for n in range(CLIENTS)]  # one without edges
    with ThreadPoolExecutor(CLIENTS) as pool:
        found = list(pool.map(lambda one: client.infer(model, one)[output], graphs * 4))
    for one, answer in zip(graphs * 4, found, strict=True):
        np.testing.assert_allclose(answer, expected(**one), rtol=1e-4, atol=1e-5)


def dgl_layer(
    state: dict[str, np.ndarray], layer: str, x: np.ndarray, edge_index: np.ndarray
) -> np.ndarray:
    """DGL's formula: fc_self(x_i) + fc_neigh(mean of x_j over edges j -> i) + bias."""
    mean = np.zeros_like(x)
    for node in range(len(x)):
        sources = edge_index[0, edge_index[1] == node]
        if len(sources):
            mean[node] = x[sources].mean(0)
    total = x @ state[f"{layer}.fc_self.weight"].T + mean @ state[f"{layer}.fc_neigh.weight"].T
    return total + sum(v for k, v in state.items() if k.startswith(layer) and k.endswith("bias"))


@pytest.mark.parametrize(
    "biases", [("bias",), ("fc_self.bias",), ("fc_self.bias", "fc_neigh.bias")]
)
def test_weights_of_dgl_answer_as_its_formula(tmp_path: Path, biases: tuple[str, ...]) -> None:
    members = example("dgl_weights")
    state = members["trained"]()
    for layer in ("layers.0", "layers.1"):
        width = len(state.pop(f"{layer}.bias"))
        state |= {f"{layer}.{name}": torch.randn(width) for name in biases}
    torch.save(members["from_dgl"](state), tmp_path / "sage.pt")
    arrays = {name: tensor.numpy() for name, tensor in state.items()}

    def expected(x: np.ndarray, edge_index: np.ndarray) -> np.ndarray:
        hidden = np.maximum(dgl_layer(arrays, "layers.0", x, edge_index), 0)
        return dgl_layer(arrays, "layers.1", hidden, edge_index)

    served = load_pipeline(f"{EXAMPLES / 'dgl_weights.py'}:Served")
    with testing.serve(served, weights=tmp_path / "sage.pt", instances=1) as server:
        compare(server.client(), "sage", "output", 16, expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("layers.0.fc_self.weight"), "layers.0.: aggregator gcn or pool"),
        (lambda s: s.update({"layers.1.fc_pool.weight": torch.eye(32)}), "layers.1.: aggregator"),
        (lambda s: s.update({"layers.1.lstm.bias_hh_l0": torch.ones(9)}), "mean: layers.1.lstm"),
    ],
)
def test_other_aggregators_of_dgl_are_refused(change: Callable[..., Any], message: str) -> None:
    members = example("dgl_weights")
    state = members["trained"]()
    change(state)
    with pytest.raises(ValueError, match=message):
        members["from_dgl"](state)


def test_an_onnx_graph_network_is_merged_and_answers_as_torch(tmp_path: Path) -> None:
    members = example("onnx_graph")
    net = members["Net"]()
    members["export"](net, tmp_path)

    def expected(x: np.ndarray, edge_index: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return net(torch.from_numpy(x), torch.from_numpy(edge_index)).numpy()

    with testing.serve(model_repository=tmp_path) as server:
        compare(server.client(), "papers", "scores", 8, expected)


PLAIN = """
import sys
sys.modules["torch"] = sys.modules["torch_geometric"] = None  # as if not installed
import numpy as np
import naiad
answer = naiad.Client(sys.argv[1]).infer(
    "links",
    x=np.ones((5, 16), np.float32),
    edge_index=np.array([[0, 1, 2], [3, 4, 0]]),
    edge_label_index=np.array([[0, 1], [2, 3]]),
)
print(type(answer["output"]).__module__, answer["output"].shape)
"""


def test_a_client_without_torch_sends_arrays_by_the_names_of_attributes() -> None:
    served = load_pipeline(f"{EXAMPLES / 'link_prediction.py'}:Served")
    with testing.serve(served, instances=1) as server:
        done = subprocess.run(
            [sys.executable, "-c", PLAIN, server.grpc_url], capture_output=True, text=True
        )
    assert done.stdout == "numpy (2,)\n", done.stderr
