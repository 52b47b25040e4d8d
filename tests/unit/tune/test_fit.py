import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from naiad.core.cost_model import Cost, Knee
from naiad.tune.fit import fit


def rows(cost, seed, noise=0.0, count=60):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        requests = int(2 ** rng.uniform(0, 6))
        nodes = int(rng.uniform(50, 500) * requests)
        sizes = {"requests": requests, "nodes": nodes, "edges": int(nodes * rng.uniform(2, 8))}
        yield sizes, cost.seconds(sizes) * rng.lognormal(0, noise) if noise else cost.seconds(sizes)


slopes = st.floats(1e-7, 1e-4)


@settings(max_examples=30)
@example(0.0031, 0.0041, 1e-07, 9.4e-06, 53)
@given(st.floats(1e-4, 1e-2), st.floats(1e-5, 1e-2), slopes, slopes, st.integers(0, 99))
def test_a_linear_cost_is_found_exactly(fixed, request, node, edge, seed):
    cost = Cost(fixed, {"requests": request, "nodes": node, "edges": edge})
    found = fit(rows(cost, seed))
    assert found.cost.fixed == pytest.approx(fixed, rel=1e-3, abs=1e-7)
    assert found.cost.knee is None
    assert found.median_error < 1e-4
    assert found.r_squared > 0.9999


def test_noise_is_averaged_and_reported():
    cost = Cost(2e-3, {"requests": 3e-4, "nodes": 1e-5, "edges": 2e-6})
    found = fit(rows(cost, 0, noise=0.1, count=200))
    assert 0.03 < found.median_error < 0.12
    assert found.cost.knee is None, "noise is no knee"
    for sizes, seconds in rows(cost, 1):
        assert found.cost.seconds(sizes) == pytest.approx(seconds, rel=0.1)


def test_a_dimension_that_gets_dearer_is_found_where_it_does():
    cost = Cost(2e-3, {"requests": 0.0, "nodes": 2e-5}, Knee("nodes", 2000, 1e-4))
    found = fit(rows(cost, 0, noise=0.03, count=150))
    assert found.cost.knee is not None
    # Edges grow with nodes, so either may seem the cause.
    for sizes, seconds in rows(cost, 1):
        assert found.cost.seconds(sizes) == pytest.approx(seconds, rel=0.35)
    assert found.r_squared > 0.97


def test_no_coefficient_is_negative():
    rng = np.random.default_rng(0)
    noise = (({"requests": int(n)}, 1.0 / n) for n in rng.integers(1, 50, 40))
    cost = fit(noise).cost
    assert min(cost.fixed, *cost.per.values()) >= 0
