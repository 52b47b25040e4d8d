"""Tests of my_model.py. Run them with: pytest test_my_model.py"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import naiad
import numpy as np
import pytest
from my_model import FEATURES, LABELS, MyModel
from naiad import InvalidInput, Request, Server
from naiad.runtime.runner import Runner


def random_graph(nodes: int, edges: int, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "x": rng.normal(size=(nodes, FEATURES)).astype(np.float32),
        "edge_index": rng.integers(0, max(nodes, 1), size=(2, edges)),
    }


def answers(graphs: list[dict[str, Any]]) -> list[Any]:
    """What the pipeline answers to graphs that arrive together, without a server."""
    return Runner(MyModel()).run([Request(graph) for graph in graphs]).outcomes


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with naiad.serve(MyModel) as server:
        yield server


def test_the_example_is_answered() -> None:
    [answer] = answers([dict(MyModel().example())])
    assert answer["logits"].shape == (12, LABELS)
    assert answer["label"].shape == (12,)
    assert 0 <= answer["score"][0] <= 1


def test_graphs_that_arrive_together_are_answered_as_each_alone() -> None:
    sizes = [(5, 12), (1, 0), (0, 0), (40, 200)]
    graphs = [random_graph(nodes, edges, seed) for seed, (nodes, edges) in enumerate(sizes)]
    for graph, together in zip(graphs, answers(graphs), strict=True):
        [alone] = answers([graph])
        assert together["logits"].shape == (len(graph["x"]), LABELS)
        np.testing.assert_allclose(together["logits"], alone["logits"], atol=1e-5)
        np.testing.assert_allclose(together["score"], alone["score"], atol=1e-5)


def test_the_server_answers_as_the_pipeline_does(server: Server) -> None:
    graph = random_graph(nodes=30, edges=100, seed=1)
    [expected] = answers([graph])
    answer = server.client().infer("my_model", graph)
    np.testing.assert_allclose(answer["logits"], expected["logits"], atol=1e-5)
    np.testing.assert_array_equal(answer["label"], expected["label"])


def test_an_edge_to_a_node_that_is_not_there_is_refused(server: Server) -> None:
    graph = random_graph(nodes=3, edges=2, seed=2)
    graph["edge_index"][1, 0] = 3
    with pytest.raises(InvalidInput, match=r"edge_index\[1, 0\] is 3"):
        server.client().infer("my_model", graph)
