import random

from hypothesis import given
from hypothesis import strategies as st

from naiad.bench.statistics import Latency, percentile

seconds = st.lists(st.floats(0, 1e3), min_size=1, max_size=200)


def test_percentiles_are_the_nearest_rank():
    values = list(range(1, 101))
    assert [percentile(values, p) for p in (50, 90, 99, 100)] == [50, 90, 99, 100]
    assert percentile([7.0], 99) == 7.0


@given(seconds)
def test_every_percentile_is_a_latency_that_somebody_had(values):
    found = Latency.of(values)
    assert found is not None
    assert {found.p50, found.p90, found.p99, found.max} <= set(values)
    assert min(values) <= found.p50 <= found.p90 <= found.p99 <= found.max
    assert found.count == len(values)


@given(seconds, st.sampled_from([50, 90, 99]))
def test_so_many_percent_are_not_above_a_percentile(values, percent):
    bound = percentile(values, percent)
    assert sum(value <= bound for value in values) * 100 >= percent * len(values)
    assert sum(value < bound for value in values) * 100 < percent * len(values)


@given(seconds, st.randoms(use_true_random=False))
def test_the_order_of_requests_does_not_matter(values, rng: random.Random):
    shuffled = list(values)
    rng.shuffle(shuffled)
    first, second = Latency.of(values), Latency.of(shuffled)
    assert first is not None
    assert second is not None
    assert (first.p50, first.p90, first.p99) == (second.p50, second.p90, second.p99)


def test_no_request_has_no_latency():
    assert Latency.of([]) is None
