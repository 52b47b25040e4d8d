"""Tests of my_model.py. Run them with: pytest test_my_model.py"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from my_model import LABELS, MyModel
from naiad import InvalidInput, Server, testing


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with testing.serve(MyModel) as server:  # at free ports
        yield server


def test_the_example_is_answered() -> None:
    [answer] = testing.run(MyModel, MyModel().example())
    assert answer["logits"].shape == (12, LABELS)
    assert answer["label"].shape == (12,)
    assert 0 <= answer["score"][0] <= 1


def test_graphs_that_arrive_together_are_answered_as_each_alone() -> None:
    sizes = [(5, 12), (1, 0), (0, 0), (40, 200)]
    graphs = [{"nodes": nodes, "edges": edges} for nodes, edges in sizes]
    testing.check_batching(MyModel, *graphs)


def test_the_server_answers_as_the_pipeline_does(server: Server) -> None:
    graph = testing.random_request(MyModel, nodes=30, edges=100)
    [expected] = testing.run(MyModel, graph)
    answer = server.client().infer("my_model", graph)
    np.testing.assert_allclose(answer["logits"], expected["logits"], atol=1e-5)
    np.testing.assert_array_equal(answer["label"], expected["label"])


def test_an_edge_to_a_node_that_is_not_there_is_refused(server: Server) -> None:
    graph = testing.random_request(MyModel, nodes=3, edges=2)
    graph["edge_index"][1, 0] = 3
    with pytest.raises(InvalidInput, match=r"edge_index\[1, 0\] is 3"):
        server.client().infer("my_model", graph)
