"""The native backend learns what batches cost."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.conftest import Talk
from tests.unit.native import reference

from naiad.core.cost_model import Cost, Knee

DIMS = ("requests", "nodes", "edges")
TRUE = Cost(2e-3, {"requests": 5e-4, "nodes": 1e-5, "edges": 5e-6})


class Learner:
    """``cost_model.h`` with the interface of the reference."""

    def __init__(self, driver: Talk, prior: Cost | None = None) -> None:
        self._driver = driver
        driver.tell("new", json.dumps({"dims": DIMS, "cost": prior and prior.to_json()}))

    def learn(self, sizes: Mapping[str, int], seconds: float) -> None:
        self._driver.tell("learn", repr(seconds), *(sizes.get(dim, 0) for dim in DIMS))

    def seconds(self, sizes: Mapping[str, int]) -> float:
        return float(self._driver.ask("seconds", *(sizes.get(dim, 0) for dim in DIMS)))


@pytest.fixture(scope="module")
def driver(talk: Callable[[str], Talk]) -> Talk:
    return talk("costs")


rows = st.fixed_dictionaries({dim: st.integers(0, 10_000) for dim in DIMS})
seconds = st.floats(1e-6, 100)
slopes = st.just(0.0) | st.floats(1e-9, 1)
costs = st.builds(
    Cost,
    slopes,
    st.dictionaries(st.sampled_from([*DIMS, "another"]), slopes),
    st.none() | st.builds(Knee, st.sampled_from([*DIMS, "another"]), st.floats(0, 1e4), slopes),
)


@settings(max_examples=200)
@given(prior=st.none() | costs, learned=st.lists(st.tuples(rows, seconds), max_size=12), asked=rows)
def test_it_predicts_like_the_reference(
    driver: Talk, prior: Cost | None, learned: list[Any], asked: dict[str, int]
) -> None:
    mine, reference_one = Learner(driver, prior), reference.Learner(DIMS, prior)
    for sizes, took in learned:
        mine.learn(sizes, took)
        reference_one.learn(sizes, took)
        for some in (sizes, asked):
            assert mine.seconds(some) == pytest.approx(
                reference_one.cost.seconds(some), rel=1e-9, abs=1e-9
            )
    assert mine.seconds(asked) == pytest.approx(
        reference_one.cost.seconds(asked), rel=1e-9, abs=1e-9
    )


def batches(seed: int, count: int) -> Iterator[tuple[dict[str, int], np.random.Generator]]:
    rng = np.random.default_rng(seed)
    for _ in range(count):
        requests = int(rng.integers(1, 16))
        nodes = int(rng.poisson(200, requests).sum())
        yield {"requests": requests, "nodes": nodes, "edges": int(nodes * rng.uniform(2, 6))}, rng


@pytest.mark.parametrize("prior", [None, TRUE, Cost(1.0, {"nodes": 1.0})])
@settings(max_examples=15)
@given(seed=st.integers(0, 1000))
def test_a_cost_is_learned_from_noisy_batches_whatever_was_believed(
    driver: Talk, prior: Cost | None, seed: int
) -> None:
    learner = Learner(driver, prior)
    for sizes, rng in batches(seed, 300):
        stumble = 10 if rng.random() < 0.02 else 1  # another program took the core
        learner.learn(sizes, TRUE.seconds(sizes) * rng.lognormal(0, 0.1) * stumble)
    errors = [learner.seconds(s) / TRUE.seconds(s) - 1 for s, _ in batches(seed + 1, 50)]
    assert np.median(np.abs(errors)) < 0.15


def test_what_is_believed_is_predicted_until_batches_say_otherwise(driver: Talk) -> None:
    learner = Learner(driver, Cost(1e-3, {"nodes": 1e-5}))
    assert learner.seconds({"nodes": 100}) == pytest.approx(2e-3)
    learner.learn({"nodes": 100}, 4e-3)
    assert 2e-3 < learner.seconds({"nodes": 100}) < 3e-3
    for nodes in range(100, 400):
        learner.learn({"nodes": nodes}, 4e-3)
    assert learner.seconds({"nodes": 300}) == pytest.approx(4e-3, rel=0.1)


def test_larger_batches_than_were_seen_are_taken_to_cost_as_much_more(driver: Talk) -> None:
    learner = Learner(driver)
    assert learner.seconds({"requests": 4, "nodes": 40}) == 0.0
    for _ in range(3):
        learner.learn({"requests": 1, "nodes": 10}, 0.02)
    assert learner.seconds({"requests": 4, "nodes": 40}) == pytest.approx(0.08)


def test_a_machine_that_becomes_slower_is_followed(driver: Talk) -> None:
    learner = Learner(driver)
    for sizes, _ in batches(0, 200):
        learner.learn(sizes, TRUE.seconds(sizes))
    for sizes, _ in batches(1, 200):
        learner.learn(sizes, 3 * TRUE.seconds(sizes))
    for sizes, _ in batches(2, 50):
        assert learner.seconds(sizes) == pytest.approx(3 * TRUE.seconds(sizes), rel=0.1)


def test_beyond_the_knee_only_the_rest_is_learned(driver: Talk) -> None:
    learner = Learner(driver, Cost(1e-3, {"nodes": 1e-5}, Knee("nodes", 100, 1e-4)))
    for nodes in [50, 100, 150, 200] * 60:
        learner.learn({"nodes": nodes}, 2e-3 + 2e-5 * nodes + 1e-4 * max(0, nodes - 100))
    assert learner.seconds({"nodes": 80}) == pytest.approx(3.6e-3, rel=0.1)
    assert learner.seconds({"nodes": 180}) == pytest.approx(13.6e-3, rel=0.1)
