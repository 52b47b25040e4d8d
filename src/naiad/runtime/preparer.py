"""Preparation of requests in separate threads, concurrently with ``forward``.

Threads, not a process: the slow parts of ``prepare`` (Qhull, JPEG, gunzip, NumPy) release the
interpreter's lock, and samples from a process would have to be copied (docs/performance.md).
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from naiad.core.budget import add_sizes
from naiad.core.pipeline import Request
from naiad.errors import NaiadError, PipelineError
from naiad.runtime.runner import Prepared, Runner

_SWITCH: Final = 1e-4
"""Maximum seconds that a thread of Python code keeps the interpreter's lock from another. With
Python's default of 5 ms, a ``forward`` of 300 small torch operations, each of which releases the
lock, took 1.2 to 1.4 times as long beside a pure-Python ``prepare``; with this, 1.06 to 1.2 times.
"""
_WEIGHT: Final = 0.25  # of the newest value in a running mean


@dataclass(slots=True, eq=False)
class Item:
    """A request on its way to ``forward``.

    Attributes:
        request: the request, or the error that made it unreadable.
        claim: takes the right to run it; returns False if nobody waits for it any more.
        threads: number that its batch may use.
        given: arrival time by :func:`time.perf_counter`.
        began: time at which ``prepare`` began, likewise.
        made: the result of ``prepare``.
        seconds: duration of ``prepare``.
    """

    request: Request | NaiadError
    claim: Callable[[], bool]
    threads: int = 1
    given: float = field(default_factory=time.perf_counter)
    began: float = 0.0
    made: Prepared = field(default_factory=lambda: PipelineError("this request was not prepared"))
    seconds: float = 0.0


class Preparer:
    """Prepares one thread's requests and hands them to another.

    When the other thread is free it gets all prepared requests together, so that none waits for a
    batch to fill and no batch is smaller than necessary.
    """

    def __init__(self, runner: Runner, threads: int) -> None:
        """Prepare up to ``threads`` requests at once."""
        self.runner = runner
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, "prepare") if threads > 1 else None
        self._changed = threading.Condition()
        self._ready: list[Item] = []
        self._used: dict[str, int] = {}  # by the ready ones
        self._coming = 0  # requests that are not yet ready
        self._full = self._closed = False
        self._pace = self._busy = self._taken = 0.0
        sys.setswitchinterval(_SWITCH)

    def give(self, items: Sequence[Item]) -> None:
        """Prepare requests, in order; return when all are ready.

        At most one batch is ready at a time; further requests wait here.
        """
        with self._changed:
            self._coming += len(items)
        for item in self._prepared(items):
            sizes = item.made[1] if isinstance(item.made, tuple) else {}
            with self._changed:
                while self._ready and not self._closed and not self._fits(sizes):
                    self._full = True
                    self._changed.notify_all()
                    self._changed.wait()
                self._full = False
                self._ready.append(item)
                add_sizes(self._used, sizes)
                self._coming -= 1
                self._pace += _WEIGHT * (item.seconds / self._threads - self._pace)
                self._changed.notify_all()

    def take(self) -> list[Item] | None:
        """Wait for requests that are ready, and return all; None at the end."""
        with self._changed:
            if self._taken:
                seconds = time.perf_counter() - self._taken
                self._busy += _WEIGHT * (seconds - self._busy)
            while not self._closed and not self._is_worth_it():
                self._changed.wait()
            if self._closed:
                return None
            items, self._ready, self._used = self._ready, [], {}
            self._changed.notify_all()
            self._taken = time.perf_counter()
            return items

    def close(self) -> None:
        """Wake all waiting threads and end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _fits(self, sizes: dict[str, int]) -> bool:
        return self.runner.budget.holds(self._used, sizes)

    def _is_worth_it(self) -> bool:
        """Return True if it is time to run: no if the rest is ready before a batch would end."""
        soon = self._coming and self._coming * self._pace < self._busy
        return bool(self._ready) and (self._full or not soon)

    def _prepared(self, items: Sequence[Item]) -> Iterator[Item]:
        if self._pool is None:
            yield from map(self._prepare, items)
            return
        coming: deque[Future[Item]] = deque()
        for item in items:
            coming.append(self._pool.submit(self._prepare, item))
            if len(coming) >= self._threads:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()

    def _prepare(self, item: Item) -> Item:
        item.began = time.perf_counter()
        request = item.request
        item.made = request if isinstance(request, NaiadError) else self.runner.prepare(request)
        item.seconds = time.perf_counter() - item.began
        return item
