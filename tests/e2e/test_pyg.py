"""The examples' PyTorch Geometric networks: served, asked by many clients, equal to PyG itself."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.support.markdown import ROOT
from torch_geometric.data import Batch, Data

from naiad import Pipeline, testing
from naiad.core.pipeline import load_pipeline

CLIENTS = 16
EXAMPLES = ROOT / "examples"


@dataclass
class Case:
    """An example: its pipeline, graphs to ask about, and how PyG answers one."""

    file: str
    name: str
    graph: Callable[[dict[str, Any], int], Any]
    answer: Callable[[torch.nn.Module, Any], Any]
    edges: str = ""  # the function that makes them on the server

    @property
    def pipeline(self) -> type[Pipeline]:
        return load_pipeline(f"{EXAMPLES / self.file}:{self.name}")

    def members(self) -> dict[str, Any]:
        return vars(sys.modules[self.pipeline.__module__])

    def expected(self, net: torch.nn.Module, graph: Any) -> dict[str, torch.Tensor]:
        graph = graph.clone()
        if self.edges:
            made = self.members()[self.edges](graph.pos.numpy())
            graph.edge_index = torch.from_numpy(made)
        found = self.answer(net, graph)
        return found if isinstance(found, dict) else {"output": found}


def whole(net: torch.nn.Module, graph: Any) -> Any:
    return net(Batch.from_data_list([graph]))


def only(graph: Any) -> tuple[torch.Tensor, int]:
    """Return ``batch`` and ``batch_size`` of one graph."""
    return torch.zeros(graph.num_nodes, dtype=torch.int64), 1


def with_state(graph: Any, width: int) -> Any:
    graph.h = torch.randn(graph.num_nodes, width)
    return graph


CASES = [
    Case("graph_classification.py", "Molecules", lambda m, n: m["molecule"](10 + 3 * n), whole),
    Case(
        "node_classification.py",
        "Served",
        lambda m, n: m["citations"](3 + n),
        lambda net, graph: net(graph.x, graph.edge_index),
    ),
    Case(
        "heterogeneous.py",
        "Served",
        lambda m, n: m["evening"](2 + n, 30 - n),
        lambda net, graph: net(graph.x_dict, graph.edge_index_dict),
    ),
    Case(
        "link_prediction.py",
        "Served",
        lambda m, n: m["friends"](5 + n, 1 + n % 4),
        lambda net, graph: net(graph.x, graph.edge_index, graph.edge_label_index),
    ),
    Case(
        "knn_graph.py",
        "Clouds",
        lambda m, n: Data(pos=torch.randn(1 + n, 3)),
        lambda net, graph: net(graph.pos, graph.edge_index, *only(graph)),
        "neighbours",
    ),
    Case(
        "point_clouds.py",
        "Served",
        lambda m, n: m["cloud"](1 + 7 * n),
        lambda net, graph: net(graph.pos, only(graph)[0], torch.tensor([0, len(graph.pos)]), 1),
    ),
    Case("edge_features.py", "Served", lambda m, n: m["molecule"](1 + 2 * n), whole),
    Case(
        "force_field.py",
        "Forces",
        lambda m, n: m["molecule"](1 + 3 * n),
        lambda net, graph: net(graph.z, graph.pos, graph.edge_index, *only(graph)),
        "pairs",
    ),
    Case(
        "temporal.py",
        "Served",
        lambda m, n: with_state(m["roads"](3 + n), m["HIDDEN"]),
        lambda net, graph: net(graph.x, graph.edge_index, graph.edge_weight, graph.h),
    ),
]


@pytest.fixture(scope="module")
def server():
    with testing.serve(*(case.pipeline for case in CASES), instances=1) as server:
        yield server


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.file)
def test_many_clients_get_what_pytorch_geometric_computes(server, case: Case) -> None:
    kind: Any = case.pipeline
    members = case.members()
    graphs = [case.graph(members, n) for n in range(CLIENTS)]
    with server.client() as client, ThreadPoolExecutor(CLIENTS) as pool:
        found = list(pool.map(lambda graph: client.infer(kind.name, graph), graphs * 4))
    for graph, answer in zip(graphs * 4, found, strict=True):
        with torch.set_grad_enabled(kind.gradients):
            expected = case.expected(kind.examined, graph)
        assert answer.keys() == expected.keys()
        for name, tensor in expected.items():
            torch.testing.assert_close(answer[name], tensor.detach(), rtol=1e-5, atol=1e-6)


def test_a_state_that_the_caller_keeps_is_that_of_a_run_in_one_process(server) -> None:
    """Clients with sequences of their own; their steps are merged, the first has no state."""
    case = next(case for case in CASES if case.file == "temporal.py")
    kind: Any = case.pipeline
    members, steps = case.members(), 5

    def sequence(sensors: int) -> tuple[Any, list[torch.Tensor]]:
        graph = members["roads"](sensors)
        return graph, [torch.randn(sensors, 2) for _ in range(steps)]

    def ask(client: Any, graph: Any, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
        graph, speeds = graph.clone(), []
        for x in inputs:
            graph.x = x
            answer = client.infer(kind.name, graph)
            graph.h = answer["h"]
            speeds.append(answer["speed"])
        return speeds

    sequences = [sequence(3 + n) for n in range(CLIENTS)]
    with server.client() as client, ThreadPoolExecutor(CLIENTS) as pool:
        found = list(pool.map(lambda one: ask(client, *one), sequences))
    for (graph, inputs), speeds in zip(sequences, found, strict=True):
        h = torch.zeros(graph.num_nodes, members["HIDDEN"])
        for x, speed in zip(inputs, speeds, strict=True):
            with torch.no_grad():
                expected = kind.examined(x, graph.edge_index, graph.edge_weight, h)
            h = expected["h"]
            torch.testing.assert_close(speed, expected["speed"], rtol=1e-5, atol=1e-6)


NETWORK = """
import os
import torch
from torch_geometric.nn import GCNConv

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        with open({record!r}, "a") as file:
            print(os.getpid(), file=file)
        self.conv = GCNConv(2, 3)

    def forward(self, x, edge_index):
        return self.conv(x, edge_index)
"""


def test_a_network_is_examined_once_before_the_worker_does(tmp_path: Path) -> None:
    record = tmp_path / "made.txt"
    (tmp_path / "net.py").write_text(NETWORK.format(record=str(record)))
    graph = Data(x=torch.randn(4, 2), edge_index=torch.tensor([[0, 1, 2], [1, 2, 3]]))
    torch.save(graph, tmp_path / "graph.pt")
    network, example = f"{tmp_path / 'net.py'}:Net", tmp_path / "graph.pt"
    with testing.serve(network, example=example, instances=1) as server:
        assert server.client().infer("net", graph)["output"].shape == (4, 3)
    made = record.read_text().split()
    assert made.count(str(os.getpid())) == 1
    assert len(set(made)) == 2
