"""Prepares requests in threads of their own, beside ``forward``.

Threads and not a process: what takes time in ``prepare`` (Qhull, JPEG, gunzip, NumPy) lets go of
the interpreter's lock, and a process's samples would have to be copied (docs/performance.md).
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
"""Seconds for which a thread of Python code may keep the interpreter's lock from another. With
Python's own 5 ms a ``forward`` of 300 small torch operations, each of which lets go of the lock,
took 1.2 to 1.4 times as long beside a ``prepare`` that is all Python; with this 1.06 to 1.2 times.
"""
_WEIGHT: Final = 0.25  # of the newest in a mean


@dataclass(slots=True, eq=False)
class Item:
    """A request on its way to ``forward``.

    Attributes:
        request: what was asked, or why that cannot be read.
        claim: takes the right to run it; False where nobody waits for it any more.
        given: when it came, as :func:`time.perf_counter`.
        made: what ``prepare`` made of it.
        seconds: which that took.
    """

    request: Request | NaiadError
    claim: Callable[[], bool]
    given: float = field(default_factory=time.perf_counter)
    made: Prepared = field(default_factory=lambda: PipelineError("this request was not prepared"))
    seconds: float = 0.0


class Preparer:
    """Takes requests from one thread, and gives them to another when they are prepared.

    All that are prepared when the other is free are given to it together, so that they wait for no
    batch to fill and no batch is smaller for them.
    """

    def __init__(self, runner: Runner, threads: int) -> None:
        """Prepare so many requests at once."""
        self.runner = runner
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, "prepare") if threads > 1 else None
        self._changed = threading.Condition()
        self._ready: list[Item] = []
        self._used: dict[str, int] = {}  # by what is ready
        self._coming = 0  # requests that are not yet ready
        self._full = self._closed = False
        self._pace = self._busy = self._taken = 0.0
        sys.setswitchinterval(_SWITCH)

    def give(self, items: Sequence[Item]) -> None:
        """Prepare requests, in order; return when all are ready.

        No more are ready at once than a batch may hold: the next then waits here.
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
        """Let nobody wait any more; whoever is about to return still does."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _fits(self, sizes: dict[str, int]) -> bool:
        return self.runner.budget.holds(self._used, sizes)

    def _is_worth_it(self) -> bool:
        """Whether to run what is ready: not where the rest is ready before a batch has run."""
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
        start = time.perf_counter()
        request = item.request
        item.made = request if isinstance(request, NaiadError) else self.runner.prepare(request)
        item.seconds = time.perf_counter() - start
        return item
