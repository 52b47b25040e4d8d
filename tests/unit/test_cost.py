import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naiad.cost import Cost, Knee, Learner
from naiad.errors import InvalidInput

seconds = st.floats(0, 1e3)
costs = st.builds(
    Cost,
    seconds,
    st.dictionaries(st.text(), seconds),
    st.none() | st.builds(Knee, st.text(), seconds, seconds),
)


@given(costs)
def test_a_cost_survives_json(cost):
    assert Cost.from_json(json.loads(json.dumps(cost.to_json()))) == cost


def test_seconds_are_fixed_and_per_row_and_more_beyond_the_knee():
    cost = Cost(0.5, {"nodes": 0.01, "requests": 0.1}, Knee("nodes", 100, 0.02))
    assert cost.seconds({"nodes": 100, "requests": 2}) == pytest.approx(1.7)
    assert cost.seconds({"nodes": 150, "requests": 2}) == pytest.approx(3.2)
    assert cost.seconds({}) == 0.5


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"fixed": 1, "per": {}, "knee": 3},
        {"fixed": "much", "per": {}, "knee": None},
        {"fixed": -1, "per": {}, "knee": None},
        {"fixed": 0, "per": {"nodes": float("nan")}, "knee": None},
    ],
)
def test_what_is_no_cost_is_refused(data):
    with pytest.raises(InvalidInput, match="cost"):
        Cost.from_json(data)


def batches(seed, count, mean_nodes=200):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        requests = int(rng.integers(1, 16))
        nodes = int(rng.poisson(mean_nodes, requests).sum())
        yield {"requests": requests, "nodes": nodes, "edges": int(nodes * rng.uniform(2, 6))}, rng


TRUE = Cost(2e-3, {"requests": 5e-4, "nodes": 1e-5, "edges": 5e-6})


@pytest.mark.parametrize("prior", [None, TRUE, Cost(1.0, {"nodes": 1.0})])
@settings(max_examples=15)
@given(seed=st.integers(0, 1000))
def test_a_cost_is_learned_from_noisy_batches_whatever_was_believed(prior, seed):
    learner = Learner(["requests", "nodes", "edges"], prior)
    for sizes, rng in batches(seed, 300):
        stumble = 10 if rng.random() < 0.02 else 1  # another program took the core
        learner.learn(sizes, TRUE.seconds(sizes) * rng.lognormal(0, 0.1) * stumble)
        assert min(learner.cost.fixed, *learner.cost.per.values()) >= 0
    errors = [learner.seconds(s) / TRUE.seconds(s) - 1 for s, _ in batches(seed + 1, 50)]
    assert np.median(np.abs(errors)) < 0.15


def test_what_is_believed_is_predicted_until_batches_say_otherwise():
    learner = Learner(["nodes"], Cost(1e-3, {"nodes": 1e-5}))
    assert learner.seconds({"nodes": 100}) == pytest.approx(2e-3)
    learner.learn({"nodes": 100}, 4e-3)
    assert 2e-3 < learner.seconds({"nodes": 100}) < 3e-3
    for nodes in range(100, 400):
        learner.learn({"nodes": nodes}, 4e-3)
    assert learner.seconds({"nodes": 300}) == pytest.approx(4e-3, rel=0.1)


def test_larger_batches_than_were_seen_are_taken_to_cost_as_much_more():
    learner = Learner(["requests", "nodes"])
    assert learner.seconds({"requests": 4, "nodes": 40}) == 0.0
    for _ in range(3):
        learner.learn({"requests": 1, "nodes": 10}, 0.02)
    assert learner.seconds({"requests": 4, "nodes": 40}) == pytest.approx(0.08)


def test_a_machine_that_becomes_slower_is_followed():
    learner = Learner(["requests", "nodes", "edges"])
    for sizes, _ in batches(0, 200):
        learner.learn(sizes, TRUE.seconds(sizes))
    for sizes, _ in batches(1, 200):
        learner.learn(sizes, 3 * TRUE.seconds(sizes))
    for sizes, _ in batches(2, 50):
        assert learner.seconds(sizes) == pytest.approx(3 * TRUE.seconds(sizes), rel=0.1)


def test_beyond_the_knee_only_the_rest_is_learned():
    knee = Knee("nodes", 100, 1e-4)
    learner = Learner(["nodes"], Cost(1e-3, {"nodes": 1e-5}, knee))
    for nodes in [50, 100, 150, 200] * 60:
        learner.learn({"nodes": nodes}, 2e-3 + 2e-5 * nodes + 1e-4 * max(0, nodes - 100))
    assert learner.cost.knee == knee
    assert learner.seconds({"nodes": 80}) == pytest.approx(3.6e-3, rel=0.1)
    assert learner.seconds({"nodes": 180}) == pytest.approx(13.6e-3, rel=0.1)
