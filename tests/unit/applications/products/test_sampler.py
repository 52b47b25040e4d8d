"""Neighbourhoods are samples without replacement that depend only on seed, hop and node."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.applications.products.shops import random_graph

from naiad.applications.products.sampler import Neighbourhood, Sampler

COMPILED = pytest.mark.parametrize("compiled", [True, False], ids=["numba", "numpy"])


def star(leaves: int) -> tuple[np.ndarray, np.ndarray]:
    """Make a graph in which node 0 has all others as neighbours, and they have none."""
    return np.array([0, leaves, *[leaves] * leaves]), np.arange(1, leaves + 1, dtype=np.int32)


def picks(found: Neighbourhood, node: int, hop: int) -> list[int]:
    """Return the neighbours that a node sampled at a hop."""
    source, target = found.edge_index[:, found.edge_hop == hop]
    return found.nodes[source[found.nodes[target] == node]].tolist()


@given(
    products=st.integers(1, 40),
    pairs=st.integers(0, 300),
    fanouts=st.lists(st.integers(1, 12), min_size=1, max_size=4),
    seed=st.integers(0, 2**63 - 1),
    data=st.data(),
)
def test_numba_and_numpy_give_the_same_valid_sample(
    products: int, pairs: int, fanouts: list[int], seed: int, data: st.DataObject
) -> None:
    graph = random_graph(products, pairs, seed % 1_000)
    nodes = np.array(
        data.draw(st.lists(st.integers(0, products - 1), unique=True, max_size=10)), np.int64
    )
    one, other = (
        Sampler(graph.indptr, graph.indices, fanouts, compiled=compiled).sample(nodes, seed)
        for compiled in (True, False)
    )
    for name in Neighbourhood.__slots__:
        found, expected = getattr(one, name), getattr(other, name)
        assert found.dtype == expected.dtype, name
        np.testing.assert_array_equal(found, expected, err_msg=name)
    assert one.nodes[: len(nodes)].tolist() == nodes.tolist()
    assert len(np.unique(one.nodes)) == len(one.nodes)
    assert (np.diff(one.node_hop) >= 0).all()
    for hop, fanout in enumerate(fanouts, start=1):
        known = one.nodes[one.node_hop < hop]
        for node in known.tolist():
            neighbours = graph.neighbours(np.array([node])).tolist()
            chosen = picks(one, node, hop)
            assert len(chosen) == len(set(chosen)) == min(fanout, len(neighbours))
            assert set(chosen) <= set(neighbours)
        target = one.edge_index[1, one.edge_hop == hop]
        assert (np.diff(target) >= 0).all()


@COMPILED
def test_a_nodes_neighbours_do_not_depend_on_the_other_nodes_of_a_request(compiled: bool) -> None:
    graph = random_graph(200, 4_000)
    sampler = Sampler(graph.indptr, graph.indices, (5, 4), compiled=compiled)
    alone = sampler.sample(np.array([7]), 3)
    rng = np.random.default_rng(0)
    for _ in range(5):
        others = np.insert(rng.choice(np.arange(8, 200), 30, replace=False), 11, 7)
        among = sampler.sample(others, 3)
        for hop in (1, 2):
            for node in alone.nodes[alone.node_hop < hop].tolist():
                assert picks(among, node, hop) == picks(alone, node, hop)


@COMPILED
def test_seeds_and_hops_decide(compiled: bool) -> None:
    indptr, indices = star(100)
    sampler = Sampler(indptr, indices, (10, 10), compiled=compiled)

    def chosen(seed: int, hop: int) -> list[int]:
        return picks(sampler.sample(np.array([0]), seed), 0, hop)

    assert chosen(1, 1) == chosen(1, 1)
    assert len({tuple(sorted(chosen(seed, hop))) for seed in range(20) for hop in (1, 2)}) == 40


def test_every_subset_is_as_likely_as_any_other() -> None:
    """Chi-squared over the 10 pairs of 5 neighbours, 99.9 % point of 9 degrees of freedom."""
    indptr, indices = star(5)
    sampler = Sampler(indptr, indices, (2,))
    counts = dict.fromkeys(combinations(range(1, 6), 2), 0)
    draws = 5_000
    for seed in range(draws):
        first, second = sorted(sampler.sample(np.array([0]), seed).nodes[1:].tolist())
        counts[first, second] += 1
    expected = draws / 10
    assert sum((count - expected) ** 2 / expected for count in counts.values()) < 27.9


@COMPILED
def test_an_empty_request_is_answered(compiled: bool) -> None:
    graph = random_graph(20, 40)
    found = Sampler(graph.indptr, graph.indices, (3, 2), compiled=compiled).sample(
        np.empty(0, np.int64), 0
    )
    assert (len(found.nodes), found.edge_index.shape) == (0, (2, 0))
