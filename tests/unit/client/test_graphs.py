"""PyTorch Geometric graphs given to the clients."""

import numpy as np
import pytest
import torch
from torch_geometric.data import Data, HeteroData

import naiad
from naiad import Tensor, testing
from naiad.client.graphs import arrays_of
from naiad.errors import InvalidInput

pytestmark = pytest.mark.slow


class Degrees(naiad.Pipeline):
    inputs = {
        "x": Tensor("float32", ("nodes", 2)),
        "edge_index": Tensor("int64", (2, "edges"), index_into="nodes"),
        "scale": Tensor("float32", ("requests",)),
    }
    outputs = {"degree": Tensor("float32", ("nodes",))}

    def forward(self, batch):
        ones = torch.zeros(batch.total("nodes"))
        ones.index_add_(0, batch["edge_index"][1], torch.ones(batch.total("edges")))
        return {"degree": ones * batch["scale"][batch.index("nodes")]}


GRAPH = Data(x=torch.ones(3, 2), edge_index=torch.tensor([[0, 1], [2, 2]]), scale=2.0)


@pytest.fixture(scope="module")
def server():
    with testing.serve(Degrees) as server:
        yield server


def test_a_graph_is_answered_with_torch_tensors(server) -> None:
    with server.client() as client:
        found = client.infer("degrees", GRAPH)
        assert found["degree"].tolist() == [0, 0, 4]
        many = list(client.infer_many("degrees", [GRAPH, GRAPH]))
        assert [one["degree"].tolist() for one in many] == [[0, 0, 4]] * 2
        plain = client.infer("degrees", arrays_of(GRAPH))
        assert isinstance(plain["degree"], np.ndarray)


async def test_an_asyncio_client_takes_graphs_too(server) -> None:
    async with naiad.AsyncClient(server.grpc_url) as client:
        assert (await client.infer("degrees", GRAPH))["degree"].tolist() == [0, 0, 4]


def test_what_the_model_does_not_take_is_left_out_with_a_warning(server) -> None:
    graph = GRAPH.clone()
    graph.y, graph.name = torch.ones(1), "ethanol"
    with server.client() as client, pytest.warns(UserWarning, match="does not take y"):
        client.infer("degrees", graph)


def test_a_graph_without_an_input_is_refused(server) -> None:
    with server.client() as client, pytest.raises(InvalidInput, match=r"scale .*is missing"):
        client.infer("degrees", Data(x=GRAPH.x, edge_index=GRAPH.edge_index))
    with server.client() as client, pytest.raises(InvalidInput, match="are a list"):
        client.infer("degrees", [1, 2])


def test_types_are_in_the_names() -> None:
    graph = HeteroData()
    graph["paper"].x = torch.ones(2, 3)
    graph["paper", "cites", "paper"].edge_index = torch.zeros(2, 4, dtype=torch.int64)
    graph.year = 2026
    assert {name: array.shape for name, array in arrays_of(graph).items()} == {
        "year": (1,),
        "paper__x": (2, 3),
        "paper__cites__paper__edge_index": (2, 4),
    }
