"""A synthetic graph is like a co-purchase graph, and the same each time."""

from __future__ import annotations

import numpy as np
import pytest

from naiad.applications.products.graph import ProductGraph
from naiad.applications.products.simulate import simulate
from naiad.errors import InvalidInput


@pytest.fixture(scope="module")
def graph() -> ProductGraph:
    return simulate(20_000, 0)


def test_the_seed_decides() -> None:
    one, again, other = simulate(500, 1), simulate(500, 1), simulate(500, 2)
    for name in ("indptr", "indices", "features", "category"):
        np.testing.assert_array_equal(getattr(one, name), getattr(again, name))
    assert not np.array_equal(one.features, other.features)


def test_degrees_are_like_those_of_ogbn_products(graph: ProductGraph) -> None:
    degrees = graph.degrees()
    assert 35 < degrees.mean() < 60  # ogbn-products: 50.5
    assert np.median(degrees) < 0.7 * degrees.mean()  # few have many
    assert degrees.max() > 20 * degrees.mean()
    assert 0 < (degrees == 0).mean() < 0.05


def test_what_is_bought_together_is_mostly_of_one_category(graph: ProductGraph) -> None:
    source = np.repeat(np.arange(len(graph)), graph.degrees())
    same = (graph.category[source] == graph.category[graph.indices]).mean()
    assert 0.7 < same < 0.9  # ogbn-products: 0.81


def test_categories_differ_in_size_and_all_have_names(graph: ProductGraph) -> None:
    sizes = np.bincount(graph.category, minlength=47)
    assert len(graph.categories) == len(sizes) == 47
    assert sizes.min() > 0
    assert sizes.max() > 0.15 * len(graph)
    assert all("synthetic" in name for name in graph.categories)


def test_the_best_selling_are_to_learn_from(graph: ProductGraph) -> None:
    parts = (graph.train, graph.validation, graph.test)
    assert [len(part) for part in parts] == [1_600, 400, 18_000]
    assert len(np.unique(np.concatenate(parts))) == len(graph)
    degrees = graph.degrees()
    assert degrees[graph.train].min() >= degrees[graph.test].max()


@pytest.mark.parametrize("products", [1, 2, 30])
def test_small_graphs_are_possible(products: int) -> None:
    assert len(simulate(products, 0)) == products


@pytest.mark.parametrize(("products", "seed"), [(0, 0), (3_000_001, 0), (5, -1)])
def test_impossible_graphs_are_refused(products: int, seed: int) -> None:
    with pytest.raises(InvalidInput, match="must be"):
        simulate(products, seed)
