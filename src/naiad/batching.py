"""How requests are grouped: budgets over named dimensions, and the queue that forms batches."""

from __future__ import annotations

import math
import threading
import time
from bisect import insort
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from naiad.errors import InvalidInput, SchemaError, Unavailable

T = TypeVar("T")


class Budget(Mapping[str, int]):
    """Sizes by dimension name: ``Budget(nodes=50_000, edges=500_000, requests=64)``.

    Dimensions that are not named are not bounded.

    Raises:
        SchemaError: a size is not a positive integer.
    """

    __slots__ = ("_sizes",)

    def __init__(self, **sizes: int) -> None:
        """Bound each named dimension."""
        for name, size in sizes.items():
            if size < 1:
                raise SchemaError(f"Budget({name}={size}): a size must be at least 1")
        self._sizes = sizes

    def __getitem__(self, name: str) -> int:
        return self._sizes[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sizes)

    def __len__(self) -> int:
        return len(self._sizes)

    def __repr__(self) -> str:
        return f"Budget({', '.join(f'{k}={v}' for k, v in self._sizes.items())})"

    def holds(self, used: Mapping[str, int], sizes: Mapping[str, int]) -> bool:
        """Whether a batch that uses ``used`` has room for a request of ``sizes``."""
        return all(used.get(k, 0) + sizes.get(k, 0) <= v for k, v in self._sizes.items())

    def refuse_oversize(self, sizes: Mapping[str, int]) -> None:
        """Raise InvalidInput, naming dimension, size and limit, where one request is over it."""
        for name, limit in self._sizes.items():
            if sizes.get(name, 0) > limit:
                raise InvalidInput(
                    f"the request has {sizes[name]:,} {name}; this model takes at most {limit:,}"
                )


def group(budget: Budget, sizes: list[dict[str, int]]) -> list[list[int]]:
    """Cut a sequence of requests, in order, into runs that each fit the budget."""
    groups: list[list[int]] = []
    used: dict[str, int] = {}
    for number, size in enumerate(sizes):
        if not groups or not budget.holds(used, size):
            groups.append([])
            used = {}
        groups[-1].append(number)
        add_sizes(used, size)
    return groups


@dataclass(slots=True)
class _Waiting(Generic[T]):
    item: T
    sizes: Mapping[str, int]
    rank: int
    arrived: float
    skipped: int = field(default=0)


class _Pace:
    """Seconds per request while requests wait, averaged over about the last ten batches."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._since: float | None = None

    def taken(self, requests: int, *, more: bool) -> None:
        """A batch was taken; a pause that begins with an empty queue says nothing of the pace."""
        now = time.monotonic()
        if self._since is not None:
            seconds = (now - self._since) / requests
            self.seconds += (seconds - self.seconds) * (0.1 if self.seconds else 1.0)
        self._since = now if more else None


class Batcher(Generic[T]):
    """A queue whose ``take`` returns the next batch: what fits the budget, oldest first.

    It is work-conserving: ``take`` returns as soon as anything waits, unless ``max_queue_delay``
    (seconds) asks it to wait for more. The first request is always admitted. A request that does
    not fit may be overtaken by later ones that do, at most ``max_skips`` times. Where several
    takers are free, they share what waits, so that no core idles beside a large batch.

    A priority is a head start: each level is worth ``head_start`` places in the queue. So urgent
    requests overtake, requests of one priority stay in order, and none starves: at most
    ``head_start`` later requests per level pass it.
    """

    def __init__(
        self,
        budget: Budget,
        *,
        capacity: int = 10_000,
        max_queue_delay: float = 0.0,
        max_skips: int = 16,
        head_start: int = 1_000,
    ) -> None:
        """Bound batches by ``budget`` and the queue by ``capacity`` requests."""
        self._budget = budget
        self._capacity = capacity
        self._delay = max_queue_delay
        self._max_skips = max_skips
        self._head_start = head_start
        self._queue: list[_Waiting[T]] = []  # by rank
        self._arrivals = 0
        self._pace = _Pace()
        self._changed = threading.Condition()
        self._takers = 0
        self._closed = False

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, item: T, sizes: Mapping[str, int], *, priority: int = 0) -> None:
        """Add a request; the lower its ``priority``, the sooner it is taken.

        Raises:
            Unavailable: the queue is full, or closed because the model is being unloaded.
        """
        with self._changed:
            if self._closed:
                raise Unavailable("the model is being unloaded; try again later or elsewhere")
            if len(self._queue) >= self._capacity:
                waiting = f"the queue is full ({self._capacity:,} requests wait)"
                raise Unavailable(f"{waiting}; try again {self._hint()}")
            rank = self._arrivals + priority * self._head_start
            self._arrivals += 1
            entry = _Waiting(item, {**sizes, "requests": 1}, rank, time.monotonic())
            insort(self._queue, entry, key=lambda other: other.rank)
            self._changed.notify()

    def take(self, timeout: float | None = None, *, most: int | None = None) -> list[T] | None:
        """Wait for work and return the next batch, of at most so many requests.

        An empty list says that the queue is closed and drained; None, that nothing came within
        ``timeout`` seconds.
        """
        give_up = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            self._takers += 1
            try:
                while not self._ready():
                    if self._closed and not self._queue:
                        return []
                    left = None if give_up is None else give_up - time.monotonic()
                    if left is not None and left <= 0:
                        return None
                    patience = self._patience()
                    waits = [wait for wait in (left, patience) if wait is not None]
                    self._changed.wait(min(waits, default=None))
                return self._pick(most)
            finally:
                self._takers -= 1

    def drain(self) -> list[T]:
        """Take everything that waits, to answer it without running it."""
        with self._changed:
            items = [waiting.item for waiting in self._queue]
            self._queue.clear()
            return items

    def close(self) -> None:
        """Refuse new requests; takers drain what waits and then get empty lists."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _hint(self) -> str:
        seconds = math.ceil(len(self._queue) * self._pace.seconds)
        return f"in about {seconds:,} s" if seconds else "later"

    def _ready(self) -> bool:
        if not self._queue:
            return False
        if self._closed or not self._delay:
            return True
        return self._patience() == 0.0 or not self._all_fit()

    def _patience(self) -> float | None:
        if not self._queue or not self._delay:
            return None
        oldest = min(waiting.arrived for waiting in self._queue)
        return max(0.0, oldest + self._delay - time.monotonic())

    def _all_fit(self) -> bool:
        used: dict[str, int] = {}
        for waiting in self._queue:
            if not self._budget.holds(used, waiting.sizes):
                return False
            add_sizes(used, waiting.sizes)
        return True

    def _pick(self, most: int | None) -> list[T]:
        share = -(-len(self._queue) // self._takers)
        if most is not None:
            share = min(share, most)
        batch: list[T] = []
        used: dict[str, int] = {}
        passed: list[_Waiting[T]] = []
        for waiting in self._queue:
            if not batch or self._budget.holds(used, waiting.sizes):
                batch.append(waiting.item)
                add_sizes(used, waiting.sizes)
                if len(batch) == share:
                    break
                continue
            passed.append(waiting)
            # Nothing overtakes a request that was skipped often enough; and looking further
            # than a few requests that do not fit costs more than it finds.
            if waiting.skipped >= self._max_skips or len(passed) >= self._max_skips:
                break
        for waiting in passed:
            waiting.skipped += 1
        self._queue[: len(batch) + len(passed)] = passed
        self._pace.taken(len(batch), more=bool(self._queue))
        if self._queue:
            self._changed.notify()
        return batch


def add_sizes(used: dict[str, int], sizes: Mapping[str, int]) -> None:
    """Add what a request has of each dimension to what is ``used``."""
    for name, size in sizes.items():
        used[name] = used.get(name, 0) + size
