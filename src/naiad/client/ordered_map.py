"""Ordered map: work on many items, a few at a time, with results in their order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Iterator,
)
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import aclosing
from itertools import islice
from typing import TypeAlias, TypeVar

from naiad.client.graphs import Inputs
from naiad.client.progress import progress_bar
from naiad.client.tracebacks import one_frame
from naiad.errors import InvalidInput, NaiadError

Item = TypeVar("Item")
Result = TypeVar("Result")

Source: TypeAlias = Iterable[Item] | AsyncIterable[Item]
Requests: TypeAlias = Source[Inputs]

# Results behind a slow one are kept, up to this many times the concurrency, so that work goes on.
_AHEAD = 2


def ask_each(
    ask: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    label: str,
    concurrency: int,
    progress: bool,
) -> Generator[Result, None, None]:
    """Yield ``ask(item)`` for each item, in order, as :func:`in_order` does.

    ``progress`` shows a bar called ``label`` on standard error.

    Raises:
        InvalidInput: at once, if concurrency is below 1.
    """
    check_concurrency(concurrency)

    def answers() -> Generator[Result, None, None]:
        with one_frame, progress_bar(progress, label, items) as advance:
            for answer in in_order(ask, items, concurrency):
                advance()
                yield answer

    return answers()


def try_each(
    ask: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    label: str,
    concurrency: int,
    progress: bool,
) -> Iterator[Result | NaiadError]:
    """Do as :func:`ask_each`, with the error of an item that fails in its place."""

    def attempt(item: Item) -> Result | NaiadError:
        try:
            return ask(item)
        except NaiadError as error:
            return error

    return ask_each(attempt, items, label=label, concurrency=concurrency, progress=progress)


def ask_each_async(
    ask: Callable[[Item], Awaitable[Result]],
    items: Source[Item],
    *,
    label: str,
    concurrency: int,
    progress: bool,
) -> AsyncGenerator[Result, None]:
    """Do as :func:`ask_each` in an event loop; ``items`` may be asynchronous, too."""
    check_concurrency(concurrency)

    async def answers() -> AsyncGenerator[Result, None]:
        with one_frame, progress_bar(progress, label, items) as advance:
            async with aclosing(in_order_async(ask, items, concurrency)) as ordered:
                async for answer in ordered:
                    advance()
                    yield answer

    return answers()


def try_each_async(
    ask: Callable[[Item], Awaitable[Result]],
    items: Source[Item],
    *,
    label: str,
    concurrency: int,
    progress: bool,
) -> AsyncIterator[Result | NaiadError]:
    """Do as :func:`ask_each_async`, with the error of an item that fails in its place."""

    async def attempt(item: Item) -> Result | NaiadError:
        try:
            return await ask(item)
        except NaiadError as error:
            return error

    return ask_each_async(attempt, items, label=label, concurrency=concurrency, progress=progress)


def check_concurrency(concurrency: int) -> None:
    """Raise `InvalidInput` for a ``concurrency`` below 1."""
    if concurrency < 1:
        raise InvalidInput(f"concurrency is {concurrency}; it must be 1 or more")


def in_order(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    concurrency: int,
    *,
    ahead: int = _AHEAD,
) -> Generator[Result, None, None]:
    """Yield ``work(item)`` for each item, in order, from at most ``concurrency`` threads.

    Items are taken as needed, at most ``ahead`` times ``concurrency`` before the result that is
    yielded. When the consumer stops, or work raises, waiting items are dropped and running ones
    finish.
    """
    window: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(concurrency, thread_name_prefix="naiad-client")
    try:
        for item in items:
            window.append(pool.submit(work, item))
            while window and (window[0].done() or len(window) >= ahead * concurrency):
                yield window.popleft().result()
        while window:
            yield window.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


async def in_order_async(
    work: Callable[[Item], Awaitable[Result]], items: Source[Item], concurrency: int
) -> AsyncGenerator[Result, None]:
    """Do as :func:`in_order` in an event loop; running work is cancelled with the consumer."""
    window: deque[asyncio.Task[Result]] = deque()
    free = asyncio.Semaphore(concurrency)

    async def limited(item: Item) -> Result:
        async with free:
            return await work(item)

    try:
        async for item in _each(items):
            window.append(asyncio.create_task(limited(item)))
            while window and (window[0].done() or len(window) >= _AHEAD * concurrency):
                yield await window.popleft()
        while window:
            yield await window.popleft()
    finally:
        for task in window:
            task.cancel()
        await asyncio.gather(*window, return_exceptions=True)


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield lists of ``size`` items, of which the last may have fewer."""
    left = iter(items)
    while batch := list(islice(left, size)):
        yield batch


async def batches_async(items: Source[Item], size: int) -> AsyncIterator[list[Item]]:
    """Do as :func:`batches` in an event loop; ``items`` may be asynchronous, too."""
    batch: list[Item] = []
    async for item in _each(items):
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


async def _each(items: Source[Item]) -> AsyncIterator[Item]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
