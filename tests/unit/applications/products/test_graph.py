"""Graphs are written, opened as memory maps, and refused where they are damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.applications.products.shops import random_graph

from naiad.applications.products.graph import (
    FACTS_FILE,
    ProductGraph,
    graph_of_pairs,
    open_graph,
    write_graph,
)
from naiad.errors import InvalidInput


@given(
    products=st.integers(1, 12),
    pairs=st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=400),
)
def test_pairs_become_edges_in_both_directions_once(
    products: int, pairs: list[tuple[int, int]]
) -> None:
    pairs = [(a % products, b % products) for a, b in pairs]
    indptr, indices = graph_of_pairs(np.array(pairs, np.int64).reshape(-1, 2).T, products)
    source = np.repeat(np.arange(products), np.diff(indptr))
    found = set(zip(source.tolist(), indices.tolist(), strict=True))
    assert len(found) == len(indices)
    assert found == {(a, b) for x, y in pairs for a, b in ((x, y), (y, x)) if x != y}


def test_what_is_written_is_opened_as_memory_maps(tmp_path: Path) -> None:
    graph = random_graph(30, 100, train=np.array([1, 2]))
    write_graph(tmp_path / "g", graph)
    opened = open_graph(tmp_path / "g")
    for name in ("indptr", "indices", "features", "category", "train", "validation"):
        np.testing.assert_array_equal(getattr(opened, name), getattr(graph, name))
    assert isinstance(opened.features, np.memmap)
    assert (opened.source, opened.categories) == (graph.source, graph.categories)


@pytest.mark.parametrize("products", [1, 3])
def test_a_graph_without_edges_is_no_error(tmp_path: Path, products: int) -> None:
    write_graph(tmp_path / "g", random_graph(products, 0))
    opened = open_graph(tmp_path / "g")
    assert (len(opened), opened.edges) == (products, 0)
    assert opened.neighbours(np.arange(products)).tolist() == []


def test_neighbours_of_some_follow_each_other() -> None:
    graph = random_graph(20, 60)
    some = np.array([4, 0, 4, 7])
    each = [graph.indices[graph.indptr[n] : graph.indptr[n + 1]] for n in some]
    np.testing.assert_array_equal(graph.neighbours(some), np.concatenate(each))
    assert graph.degrees(some).tolist() == [len(one) for one in each]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"indices": np.array([0, 99], np.int32)}, "indptr goes from 0 to"),
        ({"indptr": np.zeros(5, np.int64)}, "indptr has 5 numbers; it must have 31"),
        ({"features": np.zeros((30, 5))}, "features is float64 .30, 5.; it must be float16 or"),
        ({"category": np.full(30, 4, np.int16)}, "category has a 4; it must be -1 to 3"),
        ({"category": np.zeros(29, np.int16)}, "category has 29 rows; there are 30"),
        ({"test": np.array([30])}, "test has a 30; it must be 0 to 29"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        random_graph(30, 100, **changes)


def test_neighbours_that_are_no_products_and_pointers_that_decrease_are_refused() -> None:
    graph = random_graph(30, 100)
    indices = graph.indices.copy()
    indices[3] = 30
    with pytest.raises(InvalidInput, match="indices has a 30; it must be 0 to 29"):
        random_graph(30, 100, indices=indices)
    indptr = graph.indptr.copy()
    indptr[5] = indptr[7] + 1
    with pytest.raises(InvalidInput, match="indptr decreases"):
        random_graph(30, 100, indptr=indptr)
    with pytest.raises(InvalidInput, match="a pair has a 30; it must be 0 to 29"):
        graph_of_pairs(np.array([[30], [1]]), 30)


def test_a_graph_that_was_not_written_to_its_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no such folder; `naiad simulate products -o g`"):
        open_graph(tmp_path / "g")
    (tmp_path / "g").mkdir()
    with pytest.raises(InvalidInput, match=r"has no graph\.json: it is not a graph"):
        open_graph(tmp_path / "g")
    write_graph(tmp_path / "g", random_graph(30, 100))
    (tmp_path / "g" / FACTS_FILE).unlink()
    with pytest.raises(InvalidInput, match="the graph is incomplete; write it again"):
        open_graph(tmp_path / "g")


def damage_facts(folder: Path) -> None:
    (folder / FACTS_FILE).write_text(json.dumps({"format": 9}))


def damage_array(folder: Path) -> None:
    path = folder / "indices.npy"
    path.write_bytes(path.read_bytes()[:-40])


def plant_pickle(folder: Path) -> None:
    np.save(folder / "category.npy", np.array([{}], object), allow_pickle=True)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_facts, "format 9; this Naiad reads format 1"),
        (damage_array, r"indices\.npy cannot be read"),
        (plant_pickle, r"category\.npy cannot be read"),
    ],
)
def test_a_damaged_folder_is_refused(tmp_path: Path, damage: Any, message: str) -> None:
    write_graph(tmp_path / "g", random_graph(30, 100))
    damage(tmp_path / "g")
    with pytest.raises(InvalidInput, match=message):
        open_graph(tmp_path / "g")


def test_numbers_that_are_no_products_are_refused() -> None:
    graph: ProductGraph = random_graph(30, 100)
    graph.check_products(np.array([0, 29]), "product")
    for wrong in (30, -1):
        with pytest.raises(
            InvalidInput,
            match=rf"product\[1\] is {wrong}; it must be 0 to 29: the graph has 30 products",
        ):
            graph.check_products(np.array([0, wrong, 99]), "product")
