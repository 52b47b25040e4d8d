"""Products as a pipeline: what the runtime calls, from request to reply."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.markdown import ROOT
from tests.unit.applications.products.shops import CATEGORIES, random_graph, save

from naiad import Request
from naiad.applications.products.pipeline import Products
from naiad.applications.products.schema import INPUTS, MAX_PRODUCTS
from naiad.applications.products.simulate import simulated_requests
from naiad.applications.products.train import every_layer
from naiad.applications.products.weights import load_weights
from naiad.core.schema import Array, validate
from naiad.errors import InvalidInput, WeightsError
from naiad.runtime.runner import Outcome, Runner


def asked(products: list[int], seed: int = 0) -> dict[str, Array]:
    return {"product": np.array(products, np.int64), "seed": np.array([seed])}


def run(runner: Runner, *requests: dict[str, Array]) -> list[Outcome]:
    return runner.run([Request(r, validate(INPUTS, r)) for r in requests]).outcomes


def answers(runner: Runner, *requests: dict[str, Array]) -> list[dict[str, Array]]:
    found = run(runner, *requests)
    assert all(isinstance(one, dict) for one in found), found
    return found  # type: ignore[return-value]


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    return Runner(Products(save(tmp_path_factory.mktemp("w"))))


@settings(max_examples=30)
@given(
    baskets=st.lists(st.lists(st.integers(0, 59), max_size=9), min_size=2, max_size=5),
    seed=st.integers(0, 100),
)
def test_a_request_is_answered_alike_however_it_is_batched(
    runner: Runner, baskets: list[list[int]], seed: int
) -> None:
    """Alone, merged with others, and product by product: the same answer."""
    merged = answers(runner, *(asked(basket, seed) for basket in baskets))
    for basket, together in zip(baskets, merged, strict=True):
        (alone,) = answers(runner, asked(basket, seed))
        for name, array in alone.items():
            assert array.dtype == together[name].dtype
            np.testing.assert_allclose(together[name], array, rtol=1e-4, atol=1e-5)
        for row, product in enumerate(basket):
            (single,) = answers(runner, asked([product], seed))
            for name, array in single.items():
                np.testing.assert_allclose(together[name][row], array[0], rtol=1e-4, atol=1e-5)


def test_the_seed_decides_which_neighbours_are_looked_at(runner: Runner) -> None:
    one, again, other = answers(runner, asked([5], 1), asked([5], 1), asked([5], 2))
    np.testing.assert_allclose(one["logits"], again["logits"], rtol=1e-4, atol=1e-5)
    assert not np.allclose(one["logits"], other["logits"])


def test_with_fan_outs_beyond_all_degrees_the_answer_is_that_of_the_whole_graph(
    tmp_path: Path,
) -> None:
    folder = save(tmp_path / "w", fanouts=(100, 100, 100))
    made = Products(folder)
    net, _ = load_weights(folder)
    with torch.inference_mode():
        *hidden, logits = every_layer(net, made.graph)
    (answer,) = answers(Runner(made), asked([3, 3, 0, 59]))
    rows = [3, 3, 0, 59]
    expected = torch.stack([layer[rows] for layer in hidden], dim=1)
    np.testing.assert_allclose(answer["embeddings"], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(answer["logits"], logits[rows], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(answer["probabilities"], logits[rows].softmax(1), atol=1e-5)


def test_an_isolated_product_is_answered_and_says_so(runner: Runner) -> None:
    (answer,) = answers(runner, asked([0, 1]))
    assert answer["neighbours"][0] == 0 < answer["neighbours"][1]
    assert np.isfinite(answer["logits"]).all()


def test_half_precision_features_are_answered_from(tmp_path: Path) -> None:
    graph = random_graph(60, 300)
    half = replace(graph, features=graph.features.astype(np.float16))
    answer, exact = (
        answers(Runner(Products(save(tmp_path / name, one))), asked([7]))[0]
        for name, one in (("half", half), ("full", graph))
    )
    np.testing.assert_allclose(answer["logits"], exact["logits"], atol=0.02)


@pytest.mark.parametrize(
    ("products", "message"),
    [
        ([1, 2500], "product[1] is 2500; it must be 0 to 2499: the graph has 2,500 products"),
        ([1, -1], "product[1] is -1; it must be at least 0"),
        (
            list(range(MAX_PRODUCTS + 1)),
            "the request has 1,025 products; this model takes at most 1,024",
        ),
    ],
)
def test_a_bad_request_is_refused_alone_with_the_reason(products: list[int], message: str) -> None:
    bad = asked(products)
    try:
        Products.limit.refuse_oversize(validate(INPUTS, bad))
        good, said, _ = run(Runner(Products()), asked([1]), bad, asked([2]))
        assert isinstance(good, dict)
    except InvalidInput as error:
        said = error
    assert str(said) == message
    assert f"| `{message}` |" in (ROOT / "docs" / "products.md").read_text("utf-8")


def test_numbers_of_another_type_and_a_negative_seed_are_refused() -> None:
    with pytest.raises(InvalidInput, match="product is float64; it must be int64"):
        validate(INPUTS, {"product": np.array([1.5])})
    with pytest.raises(InvalidInput, match=r"seed\[0\] is -1; it must be at least 0"):
        validate(INPUTS, asked([1], -1))


def test_nobody_asked_about_is_no_error(runner: Runner) -> None:
    (answer,) = answers(runner, asked([]))
    assert answer["embeddings"].shape == (0, 2, 7)


def test_what_comes_with_naiad_says_what_it_is() -> None:
    facts = Products().metadata()
    assert "synthetic co-purchase graph" in facts["notice"]
    assert facts["trained_on"] == facts["graph"] == "a synthetic co-purchase graph"
    names = json.loads(facts["categories"])
    assert len(names) == 47
    assert all("synthetic" in name for name in names)


def test_simulated_requests_are_of_many_sizes() -> None:
    sizes = [validate(INPUTS, request)["products"] for request in simulated_requests(40)]
    assert min(sizes) < 5
    assert max(sizes) > 100


@pytest.mark.slow
def test_the_front_needs_no_torch() -> None:
    code = (
        "import sys; from naiad.applications.products.pipeline import Products; p = Products(); "
        "p.metadata(); p.example(); assert 'torch' not in sys.modules; p.setup('cpu'); "
        "assert 'torch' in sys.modules and 'torch_geometric' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_weights_without_a_graph_or_with_another_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="name no graph; import"):
        Products(save(tmp_path / "a", graph="")).metadata()
    with pytest.raises(WeightsError, match="no such folder"):
        Products(save(tmp_path / "b", graph="elsewhere")).metadata()
    wide = random_graph(10, 20, features=np.zeros((10, 6), np.float32))
    with pytest.raises(WeightsError, match=r"6 features per product; the weights in .* take 5"):
        Products(save(tmp_path / "c", wide)).metadata()
    (save(tmp_path / "d") / "graph" / "graph.json").unlink()
    with pytest.raises(WeightsError, match="the graph is incomplete"):
        Products(tmp_path / "d").metadata()
    with pytest.raises(WeightsError, match=r"must not lead out of the folder by \.\."):
        save(tmp_path / "e", graph="../d/graph")


def test_a_graph_elsewhere_is_named_by_its_absolute_path(tmp_path: Path) -> None:
    there = save(tmp_path / "there") / "graph"
    made = Products(save(tmp_path / "here", random_graph(9, 9), graph=str(there)))
    assert len(made.graph) == 60
    assert json.loads(made.metadata()["categories"]) == list(CATEGORIES)
