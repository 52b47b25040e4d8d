"""Recommendations combine embeddings and graph, and say what is wrong with a store."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.markdown import ROOT
from tests.unit.applications.products.shops import random_graph, save

from naiad import Request
from naiad.applications.products.card import ProductsCard
from naiad.applications.products.graph import ProductGraph, graph_of_pairs
from naiad.applications.products.product_store import VARIABLE, load_graph, open_products
from naiad.applications.products.recommend import overlaps, recommend
from naiad.applications.products.recommend_pipeline import ProductsRecommend
from naiad.applications.products.results import Labels
from naiad.applications.store import (
    GraphSchema,
    NodeTable,
    Store,
    create_store,
    open_store,
    write_store,
)
from naiad.card import read_card
from naiad.core.schema import validate
from naiad.errors import InvalidInput, NaiadError, StoreError
from naiad.runtime.runner import Runner

PAGE = (ROOT / "docs" / "products.md").read_text("utf-8")
WIDTH = 6


def fill(
    where: Path, graph: ProductGraph, sha256: str = "abc", embedded: int | None = None
) -> None:
    labels = Labels(graph.categories, len(graph), graph.edges, weights_sha256=sha256)
    load_graph(str(where), graph, labels, WIDTH)
    keys = list(range(len(graph) if embedded is None else embedded))
    vectors = np.random.default_rng(0).normal(size=(len(keys), WIDTH)).astype(np.float32)
    with write_store(where) as writer:
        writer.set_vectors("Product", "embedding", keys, vectors)


@pytest.fixture(scope="module")
def graph() -> ProductGraph:
    return random_graph(50, 150)


@pytest.fixture(scope="module")
def store(graph: ProductGraph, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    where = tmp_path_factory.mktemp("store") / "s"
    fill(where, graph)
    with open_store(where) as opened:
        yield opened


@given(basket=st.lists(st.integers(0, 49), min_size=1, max_size=4, unique=True))
def test_overlaps_are_counted_as_sets_say(graph: ProductGraph, basket: list[int]) -> None:
    """Against the definition, product by product."""
    near = {n: set(graph.neighbours(np.array([n])).tolist()) for n in range(50)}
    around = set(basket).union(*(near[n] for n in basket))
    found = overlaps(graph, np.array(sorted(basket)))
    index = [each.overlap for each in found.values()]
    assert index == sorted(index, reverse=True)
    for product in set(range(50)).difference(basket):
        own = near[product] | {product}
        shared = len((around - set(basket)) & near[product])
        if not around & own:
            assert product not in found
            continue
        each = found[product]
        assert each.overlap == pytest.approx(len(around & own) / np.sqrt(len(around) * len(own)))
        assert (each.shared, each.bought_together) == (shared, len(near[product] & set(basket)))


def test_the_weight_chooses_between_embeddings_and_graph(store: Store, graph: ProductGraph) -> None:
    by_embedding = recommend(store, graph, [7], 10, graph_weight=0.0)
    cosines = [pick.cosine for pick in by_embedding]
    assert cosines == sorted(cosines, reverse=True)
    vector = store.vectors("Product", "embedding", [7])[7]
    hits = store.nearest("Product", "embedding", vector, 11)
    assert [pick.product for pick in by_embedding] == [hit.key for hit in hits if hit.key != 7]
    by_graph = recommend(store, graph, [7], 10, graph_weight=1.0)
    assert [p.overlap for p in by_graph] == [
        each.overlap for each in islice(overlaps(graph, np.array([7])).values(), 10)
    ]
    for pick in recommend(store, graph, [7], 10):
        assert pick.score == pytest.approx((pick.overlap + max(0.0, pick.cosine)) / 2, abs=1e-6)
        assert pick.category == graph.categories[graph.category[pick.product]]


def test_nothing_of_the_basket_and_with_unseen_nothing_bought_with_it_is_recommended(
    store: Store, graph: ProductGraph
) -> None:
    basket = [7, 8, 9, 9]
    known = set(graph.neighbours(np.array([7, 8, 9])).tolist())
    found = {pick.product for pick in recommend(store, graph, basket, 40)}
    assert not found & set(basket)
    assert found & known
    assert not {p.product for p in recommend(store, graph, basket, 40, unseen=True)} & known


def test_an_isolated_product_is_recommended_for_by_its_embedding(
    store: Store, graph: ProductGraph
) -> None:
    assert graph.degrees()[0] == 0
    found = recommend(store, graph, [0], 5)
    assert len(found) == 5
    assert {(pick.overlap, pick.shared, pick.bought_together) for pick in found} == {(0.0, 0, 0)}
    assert found[0].why() == f"similar {found[0].cosine:.2f}"


def test_without_neighbours_the_graph_alone_recommends_nothing(
    store: Store, graph: ProductGraph
) -> None:
    assert recommend(store, graph, [0], 5, graph_weight=1.0) == []
    assert all(pick.score > 0 for pick in recommend(store, graph, [0], 49))


def test_a_hub_gets_what_it_was_not_bought_with(tmp_path: Path) -> None:
    """Its 40 nearest and most overlapping products are all bought with it."""
    pairs = [(0, other) for other in range(1, 41)] + [(1, other) for other in range(2, 41)]
    pairs += [(40, 41), (41, 42)]
    indptr, indices = graph_of_pairs(np.array(pairs).T, 50)
    hub = random_graph(50, 10, indptr=indptr, indices=indices)
    fill(tmp_path / "s", hub)
    vectors = np.zeros((50, WIDTH), np.float32)
    vectors[:41, 0], vectors[41:, 1] = 1, 1
    vectors[41:, 0] = np.linspace(0.5, 0.1, 9)
    with write_store(tmp_path / "s") as writer:
        writer.set_vectors("Product", "embedding", list(range(50)), vectors)
    with open_store(tmp_path / "s") as opened:
        found = recommend(opened, hub, [0], 3, unseen=True)
        assert [pick.product for pick in found] == [41, 42, 43]
        assert [(pick.bought_together, pick.shared) for pick in found] == [(0, 1), (0, 0), (0, 0)]
        by_graph = recommend(opened, hub, [0], 3, graph_weight=1.0, unseen=True)
        assert [pick.product for pick in by_graph] == [41]


def test_a_product_without_embedding_counts_by_the_graph(
    tmp_path: Path, graph: ProductGraph
) -> None:
    fill(tmp_path / "s", graph, embedded=8)
    near = overlaps(graph, np.array([7]))
    with open_store(tmp_path / "s") as opened:
        found = recommend(opened, graph, [7], 5, graph_weight=1.0)
    assert [pick.overlap for pick in found] == [each.overlap for each in islice(near.values(), 5)]
    late = next(pick for pick in found if pick.product >= 8)
    assert (late.cosine, late.score) == (0, pytest.approx(late.overlap))
    assert "similar" not in late.why()


@pytest.mark.parametrize(
    ("basket", "message"),
    [
        ([], "the basket has 0 products; it must have 1 to 32"),
        (list(range(33)), "the basket has 33 products; it must have 1 to 32"),
        ([1, 50], "product[1] is 50; it must be 0 to 49: the graph has 50 products"),
    ],
)
def test_a_bad_basket_is_refused(
    store: Store, graph: ProductGraph, basket: list[int], message: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        recommend(store, graph, basket, 5)
    assert str(caught.value) == message
    if not basket:
        assert f"| `{message}` |" in PAGE


def test_too_many_picks_are_refused() -> None:
    request = {**ProductsRecommend().example(), "k": np.array([101], np.int32)}
    with pytest.raises(InvalidInput) as caught:
        validate(ProductsRecommend.inputs, request)
    assert f"| `{caught.value}` |" in PAGE


def documented(error: NaiadError, where: Path) -> bool:
    said = str(error).replace(str(where), "PLACE")
    return f"| ``{said}`` |" in PAGE or f"| `{said}` |" in PAGE


def test_a_store_that_is_missing_half_loaded_or_of_other_weights_is_refused(
    tmp_path: Path, graph: ProductGraph
) -> None:
    where = tmp_path / "s"
    with pytest.raises(StoreError) as missing:
        open_products(str(where), "abc")
    assert documented(missing.value, where)
    with create_store(where, GraphSchema((NodeTable("Product"),))):
        with pytest.raises(StoreError) as half:
            open_store(where)
        assert documented(half.value, where)
    fill(where, graph)
    open_products(str(where), "abc").close()
    with pytest.raises(StoreError) as other:
        open_products(str(where), "def")
    assert documented(other.value, where)
    with write_store(where), pytest.raises(StoreError) as locked:
        write_store(where)
    assert documented(locked.value, where)


def test_another_graph_than_the_servers_is_refused(tmp_path: Path, graph: ProductGraph) -> None:
    labels = Labels((), 51, 9, "another graph")
    with pytest.raises(InvalidInput, match="the server's graph, another graph, has 51 and 9"):
        load_graph(str(tmp_path / "s"), graph, labels, WIDTH)
    assert not (tmp_path / "s").exists()


def test_the_model_follows_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers its example without one, and each request by what was published last."""
    where = tmp_path / "s"
    monkeypatch.setenv(VARIABLE, str(where))
    made = ProductsRecommend(save(tmp_path / "w"))
    runner = Runner(made)
    example = dict(made.example())

    def ask(k: int):
        request = {**example, "product": np.array([17]), "k": np.array([k], np.int32)}
        (outcome,) = runner.run([Request(request, validate(made.inputs, request))]).outcomes
        return outcome

    assert ask(0)["product"].shape == (0,)
    assert "`naiad products embed` fills one" in str(ask(3))
    sha256 = read_card(tmp_path / "w", ProductsCard).sha256
    fill(where, made.graph, sha256, embedded=0)
    assert isinstance(unready := ask(3), StoreError)
    assert str(unready).startswith("product 17 has no embedding yet; 0 of 60 have one")
    assert documented(StoreError(str(unready).replace("60", "2,500")), where)
    fill(where, made.graph, sha256)
    answer = ask(3)
    assert answer["product"].shape == answer["category"].shape == (3,)
    fill(where, made.graph, "other weights")
    assert "are from other weights" in str(ask(3))
