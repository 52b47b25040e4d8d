"""The helpers for users' tests find real mistakes and nothing else."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

import naiad
from naiad import testing
from naiad.errors import InvalidInput


class Degree(naiad.Pipeline):
    inputs = {
        "x": naiad.Tensor("float32", ("nodes", 2)),
        "edge_index": naiad.Tensor("int64", (2, "edges"), index_into="nodes"),
    }
    outputs = {
        "degree": naiad.Tensor("int64", ("nodes",)),
        "mean": naiad.Tensor("float32", ("nodes",)),
    }
    arrays = "numpy"

    def forward(self, batch):
        degree = np.bincount(batch["edge_index"][1], minlength=batch.total("nodes"))
        return {"degree": degree, "mean": batch["x"].mean(axis=1)}


class Leaking(Degree):
    """A pipeline that averages over the whole batch."""

    def forward(self, batch):
        return super().forward(batch) | {"mean": batch["x"].mean(axis=1) - batch["x"].mean()}


class Counting(Degree):
    """A pipeline that counts the merged requests."""

    def forward(self, batch):
        found = super().forward(batch)
        return found | {"degree": found["degree"] + batch.requests}


SIZES = ({"nodes": 5, "edges": 12}, {"nodes": 1, "edges": 0}, {"nodes": 40, "edges": 200})


@pytest.mark.parametrize("given", [(), SIZES], ids=["example", "sizes"])
def test_a_pipeline_that_keeps_requests_apart_passes(given) -> None:
    testing.check_batching(Degree, *given)


def test_arrays_may_be_given_beside_sizes() -> None:
    testing.check_batching(Degree, testing.random_request(Degree, nodes=3, edges=2), *SIZES)


@pytest.mark.parametrize(("kind", "output"), [(Leaking, "mean"), (Counting, "degree")])
def test_a_pipeline_whose_answers_depend_on_others_fails(kind, output) -> None:
    with pytest.raises(AssertionError, match=f"{output} of request 0 differs when it is merged"):
        testing.check_batching(kind, *SIZES)


def test_requests_are_answered_in_process_in_their_order() -> None:
    first = {"x": np.zeros((2, 2), np.float32), "edge_index": np.array([[0], [1]])}
    second = {"x": np.ones((1, 2), np.float32), "edge_index": np.zeros((2, 3), np.int64)}
    answers = testing.run(testing.load(Degree), first, second)
    assert [answer["degree"].tolist() for answer in answers] == [[0, 1], [3]]
    assert [answer["mean"].tolist() for answer in answers] == [[0, 0], [1]]


def test_a_graph_of_pytorch_geometric_is_a_request() -> None:
    graph = Data(x=torch.ones(3, 2), edge_index=torch.tensor([[0, 1], [2, 2]]))
    [answer] = testing.run(Degree, graph)
    assert answer["degree"].tolist() == [0, 0, 2]
    testing.check_batching(Degree, graph, *SIZES)


def test_a_request_beyond_the_limit_is_refused_as_on_a_server() -> None:
    class Small(Degree):
        limit = naiad.Budget(nodes=4)

    testing.run(Small, testing.random_request(Small, nodes=4, edges=9))
    with pytest.raises(InvalidInput, match="has 5 nodes; this model takes at most 4"):
        testing.run(Small, testing.random_request(Small, nodes=5, edges=9))


def test_the_error_of_a_bad_request_is_raised() -> None:
    bad = testing.random_request(Degree, nodes=3, edges=2)
    bad["edge_index"][1, 0] = 3
    with pytest.raises(InvalidInput, match=r"edge_index\[1, 0\] is 3"):
        testing.run(Degree, testing.random_request(Degree, nodes=1, edges=1), bad)


@pytest.mark.parametrize("sizes", [{"nodes": 3}, {"nodes": 3, "edges": 2, "hits": 1}])
def test_sizes_are_given_of_every_dimension(sizes) -> None:
    with pytest.raises(ValueError, match=r"(edges|hits): .* named dimension: edges, nodes"):
        testing.random_request(Degree, **sizes)


def test_the_same_seed_makes_the_same_request() -> None:
    one, same, other = (
        testing.random_request(Degree, seed, nodes=9, edges=9) for seed in (1, 1, 2)
    )
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert not np.array_equal(one["edge_index"], other["edge_index"])


@pytest.fixture
def usual_ports() -> Iterator[None]:
    """Occupy the default ports, unless another process has them."""
    with ExitStack() as stack:
        for port in (8000, 8001, 8002):
            with suppress(OSError):
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
        yield


@pytest.mark.usefixtures("usual_ports")
def test_a_server_starts_beside_one_on_the_default_ports() -> None:
    with testing.serve("simple", instances=1) as server:
        assert server.client().ready("simple")
