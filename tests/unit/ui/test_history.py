"""Rates and quantiles of sampled metrics."""

from __future__ import annotations

import math

import pytest

from naiad.ui.history import EVERY, Moment, quantile, rates


def moment(number: int, **counts: float) -> Moment:
    """Return a sample with buckets of seconds of a model; the name of a bucket is its bound."""
    buckets = {
        frozenset({("model", "m"), ("le", bound.replace("_", ".").replace("inf", "+Inf"))}): count
        for bound, count in counts.items()
    }
    return Moment(number * EVERY, {"naiad_request_seconds_bucket": buckets})


def test_a_rate_is_unknown_after_a_restart_and_after_a_gap() -> None:
    totals = [(0, 0.0), (1, 30.0), (2, 6.0), (3, 9.0), (60, 12.0)]
    moments = [Moment(place * EVERY, {"n": {frozenset(): total}}) for place, total in totals]
    found = rates(moments, lambda one: one.total("n"))
    assert found == [None, pytest.approx(30 / EVERY), None, pytest.approx(3 / EVERY), None]


def test_quantiles_are_interpolated_in_buckets() -> None:
    before = moment(0, **{"0_1": 0, "0_2": 0, "inf": 0})
    after = moment(1, **{"0_1": 50, "0_2": 100, "inf": 100})
    assert quantile(before, after, 0.5, "m") == pytest.approx(0.1)
    assert quantile(before, after, 0.75, "m") == pytest.approx(0.15)
    assert quantile(before, after, 0.5, "other") is None
    assert quantile(after, after, 0.5, "m") is None
    late = moment(1, **{"0_1": 0, "0_2": 0, "inf": 10})
    assert quantile(before, late, 0.99, "m") == pytest.approx(0.2)
    assert not math.isinf(quantile(before, late, 1.0, "m") or 0.0)
