"""The native backend's queue makes the batches that it promises, and those of the reference."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.conftest import Talk
from tests.unit.native import reference
from tests.unit.native.queue import TICK, Queue

from naiad.core.budget import Budget
from naiad.core.cost_model import Cost, Knee

Make = Callable[..., Queue]
Script = list[Any]


@pytest.fixture(scope="module")
def make(talk: Callable[[str], Talk]) -> Make:
    driver = talk("queue")
    return lambda *given, **options: Queue(driver, *given, **options)


BUDGET = Budget(requests=5, nodes=20, edges=40)
WAITING = Budget(nodes=90, edges=150)

ticks = st.integers(1, 100).map(lambda count: count * TICK)
slopes = st.integers(0, 8).map(lambda count: count * TICK / 8)
costs = st.builds(
    Cost,
    st.integers(0, 20).map(lambda count: count * TICK),
    st.fixed_dictionaries({"requests": slopes, "nodes": slopes, "edges": slopes}),
    st.none() | st.builds(Knee, st.just("nodes"), st.integers(0, 40), slopes),
)
put = st.tuples(st.just("put"), st.integers(-2, 2), st.integers(0, 30), st.integers(0, 60))
take = st.tuples(st.just("take"), st.integers(1, 8))
wait = st.tuples(st.just("wait"), st.integers(0, 60).map(lambda count: count * TICK))


def outcome(queue: Queue | reference.Batcher, script: Script) -> list[str | list[int]]:
    found: list[str | list[int]] = []
    for what, *numbers in script:
        if what == "put":
            priority, nodes, edges = numbers
            found.append(queue.put({"nodes": nodes, "edges": edges}, priority))
        elif what == "take":
            found.append(queue.take(numbers[0]))
        else:
            queue.now += numbers[0]
    return found


@pytest.mark.parametrize("budget", [BUDGET, Budget(requests=50, nodes=200)])
def test_it_makes_the_batches_of_the_reference(make: Make, budget: Budget) -> None:
    @settings(max_examples=300)
    @given(
        script=st.lists(put | put | take | wait, max_size=80),
        delay=st.just(0.0) | ticks,
        target=st.none() | ticks,
        cost=costs,
    )
    def check(script: Script, delay: float, target: float | None, cost: Cost) -> None:
        options: Any = {"capacity": 12, "waiting": WAITING, "delay": delay, "target": target}
        expected = reference.Batcher(budget, **options, predict=cost.seconds)
        assert outcome(make(budget, **options, cost=cost), script) == outcome(expected, script)

    check()


def test_sums_of_what_waits_do_not_overflow(make: Make) -> None:
    most = 2**63 - 1
    queue = make(Budget(requests=9, nodes=10))
    for nodes, edges in ((most, most), (most, most), (3, 4)):
        assert queue.put({"nodes": nodes, "edges": edges}) == ""
    assert [queue.take() for _ in range(3)] == [[0], [1], [2]]


requests = st.lists(st.integers(0, 40), max_size=30)
scripts = st.lists(st.one_of(st.integers(1, 10), st.none()), max_size=80)
"""A number puts a request of that many nodes; None takes a batch."""


def fill(queue: Queue, *nodes: int) -> None:
    for size in nodes:
        assert queue.put({"nodes": size}) == ""


def batches(queue: Queue) -> Iterator[list[int]]:
    while batch := queue.take():
        yield batch


@given(nodes=requests)
def test_every_request_comes_out_once_within_the_budget(make: Make, nodes: list[int]) -> None:
    queue = make(Budget(nodes=50))
    fill(queue, *nodes)
    seen: list[int] = []
    for batch in batches(queue):
        assert len(batch) == 1 or sum(nodes[number] for number in batch) <= 50
        seen += batch
    assert sorted(seen) == list(range(len(nodes)))


def test_the_oldest_request_is_always_admitted_even_over_budget(make: Make) -> None:
    queue = make(Budget(nodes=10))
    fill(queue, 99)
    assert queue.take() == [0]


def test_a_small_request_overtakes_one_that_does_not_fit(make: Make) -> None:
    queue = make(Budget(nodes=10))
    fill(queue, 6, 8, 4)
    assert list(batches(queue)) == [[0, 2], [1]]


def test_a_request_that_does_not_fit_is_overtaken_sixteen_times(make: Make) -> None:
    queue = make(Budget(nodes=10))
    fill(queue, 10)
    found: list[int] = []
    for _ in range(20):
        queue.put({"nodes": 1}, priority=-1)  # with which the large one does not fit
        fill(queue, 1)
        found.append(len(queue.take()))
    assert found == [2] * 16 + [1] * 4
    assert queue.take() == [0]


def test_two_free_takers_share_what_waits(make: Make) -> None:
    queue = make(Budget(requests=64), delay=3600.0)
    fill(queue, *[1] * 8)
    assert queue.share() == [4, 4]


def test_urgent_requests_overtake_within_their_head_start(make: Make) -> None:
    queue = make(Budget(requests=1))
    for _ in range(3):
        queue.put({}, priority=0)
    for _ in range(1_100):
        queue.put({}, priority=-1)
    order = [number for batch in batches(queue) for number in batch]
    urgent = [number for number in order if number > 2]
    assert urgent == sorted(urgent), "one priority keeps order"
    assert [order.index(number) for number in range(3)] == [997, 999, 1001]


def test_a_taker_may_ask_for_less(make: Make) -> None:
    queue = make(Budget())
    fill(queue, 1, 1, 1)
    assert queue.take(1) == [0]
    assert queue.take() == [1, 2]


def test_max_queue_delay_waits_for_company_and_ends(make: Make) -> None:
    queue = make(Budget(requests=2), delay=20 * TICK)
    fill(queue, 1)
    queue.now = 19 * TICK
    assert queue.take() == []
    queue.now = 20 * TICK
    assert queue.take() == [0]
    fill(queue, 1, 1)
    assert queue.take() == []
    fill(queue, 1)
    assert queue.take() == [1, 2], "more than fits need not wait"


def test_a_full_queue_refuses(make: Make) -> None:
    queue = make(Budget(), capacity=2)
    fill(queue, 1, 1)
    assert queue.put({}) == "the queue is full (2 requests waiting); try again later"


def test_a_queue_is_bounded_by_what_its_requests_count(make: Make) -> None:
    queue = make(Budget(), waiting=Budget(nodes=1_000))
    fill(queue, 5_000)  # more than all that may wait, but it is the only one
    assert queue.put({"nodes": 1}).startswith("the queue is full (5,000 nodes waiting)")
    assert queue.take() == [0]
    fill(queue, 400, 600)
    assert queue.put({"nodes": 1}).startswith("the queue is full (1,000 nodes waiting)")
    fill(queue, 0)


def test_the_refusal_of_a_full_queue_has_a_hint_from_the_pace(make: Make) -> None:
    queue = make(Budget(requests=1), capacity=40)
    fill(queue, *[1] * 40)
    for _ in range(3):
        queue.take()
        queue.now += 0.25
    fill(queue, *[1] * 3)
    assert queue.put({}) == "the queue is full (40 requests waiting); try again in about 10 s"


def test_a_pause_without_work_is_not_counted_as_pace(make: Make) -> None:
    queue = make(Budget(), capacity=1)
    for _ in range(2):
        fill(queue, 1)
        queue.take()
        queue.now += 0.25
    fill(queue, 1)
    assert queue.put({}).endswith("try again later")


@pytest.mark.parametrize(
    ("budget", "delay"), [(Budget(requests=2), 0.0), (Budget(nodes=10_000), 600.0)]
)
def test_work_per_request_does_not_grow_with_those_that_wait(
    make: Make, budget: Budget, delay: float
) -> None:
    def steps_each(count: int) -> float:
        queue = make(budget, delay=delay)
        before = queue.steps
        for _ in range(count):
            queue.put({"nodes": 1})
            if delay:
                assert queue.take() == []  # as a waiting worker does at each arrival
        queue.now += delay
        while queue.waiting:
            queue.take()
        return (queue.steps - before) / count

    assert steps_each(2_000) < 1.1 * steps_each(200)


def test_draining_takes_everything(make: Make) -> None:
    queue = make(Budget(requests=1))
    fill(queue, 1, 1)
    assert queue.drain() == [0, 1]
    assert queue.drain() == queue.take() == []


def test_a_closed_queue_refuses_and_drains(make: Make) -> None:
    queue = make(Budget(), delay=3600.0)
    fill(queue, 1)
    queue.close()
    assert queue.put({}) == "the model is being unloaded; try again later or elsewhere"
    assert queue.take() == [0]


COST = Cost(0.010, {"nodes": 0.001})  # seconds


def test_a_batch_is_no_larger_than_lets_its_requests_be_in_time(make: Make) -> None:
    queue = make(Budget(nodes=1000), target=0.1, cost=COST)
    fill(queue, *[20] * 8)
    queue.now = 0.005
    # 10 ms and 20 ms each: four take 90 ms and are in time at 95; eight would all be late at 175.
    assert queue.take() == [0, 1, 2, 3]
    queue.now = 0.095
    # The others can no longer be in time: nothing is gained by small batches.
    assert queue.take() == [4, 5, 6, 7]


def test_without_a_target_all_go_together(make: Make) -> None:
    queue = make(Budget(nodes=1000), cost=COST)
    fill(queue, *[20] * 8)
    assert queue.take() == list(range(8))


def test_a_large_request_does_not_make_small_ones_late(make: Make) -> None:
    queue = make(Budget(nodes=1000), target=0.1, cost=COST)
    fill(queue, 10, 500, 10, 10)
    assert list(batches(queue)) == [[0, 2, 3], [1]]


def test_the_first_request_is_admitted_however_late_it_will_be(make: Make) -> None:
    queue = make(Budget(nodes=1000), target=0.001, cost=COST)
    fill(queue, 5000)
    queue.now = 5.0
    assert queue.take() == [0]


def test_max_queue_delay_ends_when_the_latency_target_would_be_missed(make: Make) -> None:
    queue = make(Budget(nodes=1000), target=0.1, cost=COST, delay=30.0)
    fill(queue, 40)  # 50 ms
    queue.now = 0.045
    assert queue.take() == []
    queue.now = 0.055
    assert queue.take() == [0]
    fill(queue, 20, 20)  # 50 ms together
    queue.now = 0.1
    assert queue.take() == []
    queue.now = 0.3  # too late for both: together at once
    assert queue.take() == [1, 2]


def test_a_batch_is_not_cut_where_that_gains_less_than_it_costs(make: Make) -> None:
    queue = make(Budget(nodes=1000), target=0.1, cost=COST)
    fill(queue, 20)
    queue.now = 0.04
    fill(queue, 20, 20, 20)
    # Together they take 90 ms: the first is late, the others are in time. In two batches the first
    # two were in time and the others, at 150 ms, late.
    queue.now = 0.049
    assert queue.take() == [0, 1, 2, 3]
    fill(queue, *[20] * 1000)
    for _ in range(10):  # a pace of 1000 requests per second is learned
        queue.now += 0.05
        queue.take()
    assert len(queue.take()) == 50, "behind, so as large as the budget allows"


def equal(rng: np.random.Generator, count: int) -> Any:
    return np.full(count, 5)


def mixed(rng: np.random.Generator, count: int) -> Any:
    return np.where(rng.random(count) < 0.1, 60, 5)


def in_time(
    make: Make, aim: float | None, target: float, rate: float, sizes: Any, cost: Cost = COST
) -> float:
    """The share of Poisson arrivals that one worker answers within the target, in virtual time."""
    requests = 4000
    rng = np.random.default_rng(0)
    arrivals = np.cumsum(rng.exponential(1 / rate, requests))
    nodes = sizes(rng, requests)
    queue = make(Budget(nodes=1000), target=aim, cost=cost)
    now, put, done, good = 0.0, 0, 0, 0
    while done < requests:
        while put < requests and arrivals[put] <= now:
            queue.now = arrivals[put]
            fill(queue, int(nodes[put]))
            put += 1
        if not queue.waiting:
            now = arrivals[put]
            continue
        queue.now = now
        batch = queue.take()
        now += cost.seconds({"nodes": int(sum(nodes[n] for n in batch))})
        good += sum(now - arrivals[n] <= target for n in batch)
        done += len(batch)
    return good / requests


@pytest.mark.parametrize("sizes", [equal, mixed])
@pytest.mark.parametrize("load", [0.5, 0.8, 0.95, 1.2])
@pytest.mark.parametrize("target", [0.05, 0.2])
def test_a_target_never_makes_more_requests_late_than_none(
    make: Make, sizes: Any, load: float, target: float
) -> None:
    """A rule that kept the oldest request in time at any price would answer none in time here."""
    mean = np.mean(sizes(np.random.default_rng(0), 4000))
    rate = load / (COST.per["nodes"] * float(mean))
    without = in_time(make, None, target, rate, sizes)
    # Near full load each extra batch delays all that come before the queue is empty again.
    assert in_time(make, target, target, rate, sizes) > without - 0.04


def test_a_target_brings_more_requests_in_time_where_sizes_differ(make: Make) -> None:
    cheap = Cost(0.001, COST.per)
    without = in_time(make, None, 0.05, 60, mixed, cheap)
    assert in_time(make, 0.05, 0.05, 60, mixed, cheap) > without + 0.04


@given(script=scripts, target=st.floats(0.01, 0.5), ahead=st.integers(0, 20))
def test_with_a_target_none_is_passed_for_long(
    make: Make, script: list[int | None], target: float, ahead: int
) -> None:
    queue = make(Budget(nodes=100), target=target, cost=COST)
    sizes: list[int] = []
    overtaken: dict[int, int] = {}
    for tens in [*script, *[None] * len(script)]:
        if tens is not None:
            overtaken[len(sizes)] = 0
            sizes.append(10 * tens)
            fill(queue, sizes[-1])
            queue.now += ahead * TICK
        elif overtaken:
            batch = queue.take()
            nodes = sum(sizes[number] for number in batch)
            assert len(batch) == 1 or nodes <= 100
            for number in batch:
                del overtaken[number]
            for number in overtaken:
                overtaken[number] += any(later > number for later in batch)
                assert overtaken[number] <= 17
            queue.now += COST.seconds({"nodes": nodes})
    assert not overtaken
