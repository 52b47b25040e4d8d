"""Many requests: answers in order, so many at once, and no more taken than needed."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import AsyncIterator, Iterable, Iterator

import pytest

from naiad.client.ordered_map import batches, batches_async, in_order, in_order_async
from naiad.errors import PipelineError


class Gauge:
    """How many are inside at once, and the most there ever were."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.lock = threading.Lock()

    def __enter__(self) -> None:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.now -= 1


def uneven(item: int) -> float:
    return 0.001 * (item * 7 % 5)


def test_answers_come_in_the_order_of_the_requests() -> None:
    gauge = Gauge()

    def work(item: int) -> int:
        with gauge:
            time.sleep(uneven(item))
            return item * item

    assert list(in_order(work, range(60), 4)) == [item * item for item in range(60)]
    assert 1 < gauge.most <= 4


def test_an_endless_iterable_is_taken_as_needed() -> None:
    taken = itertools.count()
    answers = in_order(lambda item: item, taken, 3)
    assert list(itertools.islice(answers, 5)) == [0, 1, 2, 3, 4]
    answers.close()
    assert next(taken) <= 5 + 2 * 3 + 1


def test_nothing_is_taken_before_the_first_answer_is_asked_for() -> None:
    taken = itertools.count()
    in_order(lambda item: item, taken, 3)
    assert next(taken) == 0


def test_an_answer_is_given_before_a_slow_source_has_the_whole_window() -> None:
    given: list[int] = []

    def slow() -> Iterator[int]:
        for item in range(3):
            time.sleep(0.05)
            yield item
            given.append(item)

    answers = in_order(lambda item: item, slow(), 8)
    next(answers)
    assert given in ([], [0], [0, 1])
    answers.close()


def test_an_error_ends_the_answers_and_waiting_work_is_dropped() -> None:
    done: list[int] = []

    def work(item: int) -> int:
        if item == 1:
            raise PipelineError("bad item")
        time.sleep(0.02)
        done.append(item)
        return item

    answers = in_order(work, range(100), 2)
    assert next(answers) == 0
    with pytest.raises(PipelineError, match="bad item"):
        next(answers)
    assert len(done) < 10
    assert not [t for t in threading.enumerate() if t.name.startswith("naiad-client")]


def test_an_error_of_the_source_is_not_swallowed() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise OSError("the file ends early")

    with pytest.raises(OSError, match="ends early"):
        list(in_order(lambda item: item, source(), 2))


async def test_the_asyncio_twin_keeps_order_and_bounds() -> None:
    gauge = Gauge()

    async def work(item: int) -> int:
        with gauge:
            await asyncio.sleep(uneven(item))
            return item * item

    answers = [answer async for answer in in_order_async(work, range(60), 4)]
    assert answers == [item * item for item in range(60)]
    assert gauge.most == 4


async def test_the_asyncio_twin_takes_asynchronous_sources_as_needed() -> None:
    taken = 0

    async def source() -> AsyncIterator[int]:
        nonlocal taken
        while True:
            taken += 1
            yield taken

    async def work(item: int) -> int:
        return item

    answers = in_order_async(work, source(), 3)
    assert [await anext(answers) for _ in range(5)] == [1, 2, 3, 4, 5]
    await answers.aclose()
    assert taken <= 5 + 2 * 3 + 1


async def test_the_asyncio_twin_cancels_what_is_under_way() -> None:
    cancelled: list[int] = []

    async def work(item: int) -> int:
        if item == 0:
            return item
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(item)
            raise
        return item

    answers = in_order_async(work, range(4), 2)
    assert await anext(answers) == 0
    await asyncio.sleep(0)
    await answers.aclose()
    assert cancelled
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_batches_have_all_items_in_order() -> None:
    async def collected(items: Iterable[int] | AsyncIterator[int]) -> list[list[int]]:
        return [batch async for batch in batches_async(items, 2)]

    async def five() -> AsyncIterator[int]:
        for item in range(5):
            yield item

    wanted = [[0, 1], [2, 3], [4]]
    assert list(batches(range(5), 2)) == wanted
    assert asyncio.run(collected(range(5))) == wanted
    assert asyncio.run(collected(five())) == wanted
    assert list(batches([], 2)) == asyncio.run(collected([])) == []
