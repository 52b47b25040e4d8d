"""Requests are prepared while others run, as many as a batch may hold."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naiad import Budget, Pipeline, Tensor
from naiad.core.pipeline import Request
from naiad.errors import InvalidInput, NaiadError
from naiad.runtime.preparer import Item, Preparer
from naiad.runtime.runner import Runner

PATIENCE = 20.0


class Rows(Pipeline):
    """A pipeline that prepares ``n`` rows when allowed, and refuses -1."""

    inputs = {"n": Tensor("int64", ("requests",))}
    sample = {"x": Tensor("float32", ("rows",)), "n": inputs["n"]}
    outputs = {"n": inputs["n"]}
    arrays = "numpy"
    budget = Budget(rows=6, requests=8)

    def __init__(self) -> None:
        super().__init__()
        self.gate: Callable[[int], object] = lambda _: None

    def prepare(self, request: Request) -> dict[str, Any]:
        n = int(request["n"][0])
        self.gate(n)
        if n < 0:
            raise InvalidInput("n is negative")
        return {"x": np.zeros(n, np.float32), "n": request["n"]}

    def forward(self, batch: Any) -> dict[str, Any]:
        return {"n": batch["n"]}


@pytest.fixture(autouse=True)
def switch_interval() -> Iterator[None]:
    before = sys.getswitchinterval()
    yield
    sys.setswitchinterval(before)


def items(*numbers: int) -> list[Item]:
    return [Item(Request({"n": np.array([n])}, {"requests": 1}), lambda: True) for n in numbers]


def numbers_of(taken: list[Item] | None) -> list[int]:
    assert taken is not None
    return [int(item.request["n"][0]) for item in taken if isinstance(item.request, Request)]


def start(preparer: Preparer, *numbers: int) -> threading.Thread:
    thread = threading.Thread(target=preparer.give, args=(items(*numbers),), daemon=True)
    thread.start()
    return thread


def wait_until_full(preparer: Preparer) -> None:
    """Wait until a prepared request has to wait for the ready ones."""
    with preparer._changed:
        assert preparer._changed.wait_for(lambda: preparer._full, PATIENCE)


def ended(thread: threading.Thread) -> bool:
    thread.join(PATIENCE)
    return not thread.is_alive()


def test_requests_of_several_tasks_are_taken_together_once_they_are_prepared() -> None:
    preparer = Preparer(Runner(Rows()), 1)
    preparer.give(items(1, 2))
    assert numbers_of(preparer.take()) == [1, 2]
    # As if the others ran now.
    for number in (1, 2, 1):
        preparer.give(items(number))
    assert numbers_of(preparer.take()) == [1, 2, 1]


def test_no_more_is_ready_than_a_batch_may_hold() -> None:
    preparer = Preparer(Runner(Rows()), 1)
    giving = start(preparer, 3, 3, 1, 2)
    wait_until_full(preparer)
    assert numbers_of(preparer.take()) == [3, 3]
    assert ended(giving)
    assert numbers_of(preparer.take()) == [1, 2]


def test_a_request_that_is_larger_than_a_batch_is_taken_alone() -> None:
    preparer = Preparer(Runner(Rows()), 1)
    giving = start(preparer, 1, 50, 1)
    assert [numbers_of(preparer.take()) for _ in range(3)] == [[1], [50], [1]]
    assert ended(giving)


def test_what_ran_out_of_memory_makes_less_ready() -> None:
    runner = Runner(Rows())
    runner._backoff.ran_out({"rows": 4})
    preparer = Preparer(runner, 1)
    giving = start(preparer, 1, 1, 1)
    wait_until_full(preparer)
    assert numbers_of(preparer.take()) == [1, 1]
    assert ended(giving)


@pytest.mark.parametrize(("run", "expected"), [(5.0, [1, 2]), (0.0, [1])])
def test_a_batch_waits_for_the_rest_only_where_that_takes_less_than_to_run_it(
    run: float, expected: list[int]
) -> None:
    pipeline = Rows()
    preparer = Preparer(Runner(pipeline), 1)
    go_on = threading.Event()
    pipeline.gate = lambda n: n == 2 and go_on.wait(PATIENCE)
    preparer._busy, preparer._pace = run, 1.0
    giving = start(preparer, 1, 2)
    taken: list[Any] = []
    taking = threading.Thread(target=lambda: taken.append(preparer.take()), daemon=True)
    taking.start()
    taking.join(0.3)
    assert bool(taken) == (expected == [1])
    go_on.set()
    assert ended(giving)
    assert ended(taking)
    assert numbers_of(taken[0]) == expected


def test_what_prepare_refuses_waits_with_its_error_beside_the_others() -> None:
    preparer = Preparer(Runner(Rows()), 1)
    unread = Item(InvalidInput("n is not there"), lambda: True)
    preparer.give([*items(1, -1), unread, *items(2)])
    taken = preparer.take()
    assert taken is not None
    said = [str(item.made) if isinstance(item.made, NaiadError) else "" for item in taken]
    assert said == ["", "n is negative", "n is not there", ""]
    report = preparer.runner.run_prepared([item.made for item in taken])
    assert [isinstance(outcome, dict) for outcome in report.outcomes] == [True, False, False, True]


def test_several_threads_prepare_at_once_and_keep_the_order() -> None:
    pipeline = Rows()
    both = threading.Barrier(2)
    pipeline.gate = lambda _: both.wait(PATIENCE)
    preparer = Preparer(Runner(pipeline), 2)
    giving = start(preparer, 1, 2, 1, 2)  # in sequence none would pass the barrier
    found = numbers_of(preparer.take())
    while len(found) < 4:
        found += numbers_of(preparer.take())
    assert found == [1, 2, 1, 2]
    assert ended(giving)


def test_nothing_waits_at_the_end() -> None:
    preparer = Preparer(Runner(Rows()), 1)
    giving = start(preparer, 5, 5, 5)
    threading.Timer(0.1, preparer.close).start()
    assert ended(giving)
    assert preparer.take() is None


@settings(max_examples=30)
@given(
    tasks=st.lists(st.lists(st.integers(-1, 8), min_size=1, max_size=5), max_size=6),
    threads=st.integers(1, 3),
)
def test_all_are_taken_once_and_in_order(tasks: list[list[int]], threads: int) -> None:
    preparer = Preparer(Runner(Rows()), threads)

    def give() -> None:
        for task in tasks:
            preparer.give(items(*task))

    giving = threading.Thread(target=give, daemon=True)
    giving.start()
    sent = [number for task in tasks for number in task]
    found: list[int] = []
    while len(found) < len(sent):
        taken = preparer.take()
        assert taken is not None
        rows = sum(item.made[1]["rows"] for item in taken if isinstance(item.made, tuple))
        assert rows <= 6 or len([i for i in taken if isinstance(i.made, tuple)]) == 1
        found += numbers_of(taken)
    assert found == sent
    assert ended(giving)
