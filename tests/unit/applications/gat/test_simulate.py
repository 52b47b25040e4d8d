"""A synthetic graph is like a citation graph, and the same each time."""

from __future__ import annotations

import numpy as np
import pytest

from naiad.applications.gat.schema import CLASSES, FEATURES, INPUTS
from naiad.applications.gat.simulate import simulate
from naiad.applications.gat.task import GatTask
from naiad.core.schema import validate
from naiad.errors import InvalidInput


def test_the_seed_determines_the_graph() -> None:
    one, again, other = simulate(50, 1), simulate(50, 1), simulate(50, 2)
    assert np.array_equal(one.x, again.x)
    assert np.array_equal(one.edge_index, again.edge_index)
    assert not np.array_equal(one.x, other.x)


def test_it_is_like_cora() -> None:
    graph = simulate(2_000, 0)
    assert graph.x.shape == (2_000, FEATURES)
    assert set(np.unique(graph.x)) == {0, 1}
    assert 15 < graph.x.sum(axis=1).mean() < 21  # Cora: 18.2
    source, target = graph.edge_index
    assert 3 < len(source) / len(graph) < 5  # Cora: 3.9
    same = (graph.topics[source] == graph.topics[target]).mean()
    assert 0.75 < same < 0.9  # Cora: 0.81
    assert np.bincount(source).max() > 20  # some papers are famous


def test_citations_go_both_ways_without_self_citations() -> None:
    source, target = simulate(300, 0).edge_index
    there = set(zip(source.tolist(), target.tolist(), strict=True))
    assert len(there) == len(source)
    assert there == {(b, a) for a, b in there}
    assert (source != target).all()


def test_the_split_has_all_topics_and_no_paper_twice() -> None:
    graph = simulate(2_000, 0)
    assert np.bincount(graph.topics[graph.train]).tolist() == [20] * CLASSES
    parts = np.concatenate([graph.train, graph.validation, graph.test])
    assert len(np.unique(parts)) == len(parts)
    assert (len(graph.validation), len(graph.test)) == (400, 800)


@pytest.mark.parametrize("nodes", [1, 2, 10])
def test_small_graphs_are_possible(nodes: int) -> None:
    assert len(simulate(nodes, 0)) == nodes


@pytest.mark.parametrize(("nodes", "seed"), [(0, 0), (-1, 0), (100_001, 0), (5, -1)])
def test_impossible_graphs_are_refused(nodes: int, seed: int) -> None:
    with pytest.raises(InvalidInput, match="must be"):
        simulate(nodes, seed)


def test_simulated_requests_are_of_many_sizes() -> None:
    sizes = [validate(INPUTS, request)["nodes"] for request in GatTask.simulated_requests(30, 0)]
    assert min(sizes) < 30
    assert max(sizes) > 500
