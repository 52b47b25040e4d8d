"""Many pieces of work, a few at a time, results in the order of the work."""

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
from typing import Literal, TypeVar

from naiad.client.progress import progress_bar
from naiad.errors import InvalidInput, NaiadError

Item = TypeVar("Item")
Result = TypeVar("Result")

# Results wait for a slow one before them; so many times the concurrency are let wait, that the
# others need not.
_AHEAD = 2


def check_concurrency(concurrency: int) -> int:
    """Return ``concurrency``.

    Raises:
        InvalidInput: when it is below 1.
    """
    if concurrency < 1:
        raise InvalidInput(f"concurrency is {concurrency}; it must be 1 or more")
    return concurrency


def in_order(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    concurrency: int,
    *,
    ahead: int = _AHEAD,
) -> Generator[Result, None, None]:
    """Yield ``work(item)`` for each item, in order, from at most ``concurrency`` threads.

    Items are taken as they are needed, at most ``ahead`` times ``concurrency`` before the result
    that is yielded. When the consumer stops, or work raises, waiting items are dropped and running
    ones awaited.
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


def ask_many(
    ask: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    label: str,
    concurrency: int,
    progress: bool,
    on_error: Literal["raise", "return"],
) -> Iterator[Result | NaiadError]:
    """Yield ``ask(item)`` for each item, in order, as :func:`in_order` does.

    With ``on_error="return"`` the error of an item that fails stands in its place. ``progress``
    shows a bar called ``label`` on standard error.

    Raises:
        InvalidInput: at once, when concurrency is below 1.
    """
    check_concurrency(concurrency)

    def work(item: Item) -> Result | NaiadError:
        try:
            return ask(item)
        except NaiadError as error:
            if on_error == "raise":
                raise
            return error

    def answers() -> Iterator[Result | NaiadError]:
        with progress_bar(progress, label, items) as advance:
            for answer in in_order(work, items, concurrency):
                advance()
                yield answer

    return answers()


async def in_order_async(
    work: Callable[[Item], Awaitable[Result]],
    items: Iterable[Item] | AsyncIterable[Item],
    concurrency: int,
) -> AsyncGenerator[Result, None]:
    """Do the same in an event loop; when the consumer stops, running work is cancelled."""
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


async def _each(items: Iterable[Item] | AsyncIterable[Item]) -> AsyncIterator[Item]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
