"""How requests are grouped: budgets over named dimensions, and the queue that forms batches."""

from __future__ import annotations

import math
import threading
import time
from bisect import insort
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from naiad.errors import InvalidInput, SchemaError, Unavailable

T = TypeVar("T")

_CAUTION = 4.0
"""In simulations of Poisson arrivals at up to 98% load, with 1 a target makes up to half of the
requests late that are in time without it; with 4 a few per cent, and it still helps."""


class Budget(Mapping[str, int]):
    """Sizes by dimension name: ``Budget(nodes=50_000, edges=500_000, requests=64)``.

    A name may also be one that a tensor ``counts`` by. What is not named is not bounded.

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


@dataclass(slots=True, eq=False)
class _Waiting(Generic[T]):
    item: T
    sizes: Mapping[str, int]
    rank: int
    arrived: float
    skipped: int = field(default=0)
    taken: bool = field(default=False)


class _Pace:
    """Seconds per request while requests wait, averaged over about the last ten batches."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._since: float | None = None

    def taken(self, requests: int, now: float, *, more: bool) -> None:
        """A batch was taken; a pause that begins with an empty queue says nothing of the pace."""
        if self._since is not None:
            seconds = (now - self._since) / requests
            self.seconds += (seconds - self.seconds) * (0.1 if self.seconds else 1.0)
        self._since = now if more else None


@dataclass(frozen=True, slots=True)
class LatencyTarget:
    """Within how many ``seconds`` of their arrival requests should be answered.

    ``predict`` says what a batch of given sizes will take, in seconds.
    """

    seconds: float
    predict: Callable[[Mapping[str, int]], float]

    def left(self, waiting: _Waiting[Any], now: float) -> float:
        """Seconds until a request would be late."""
        return waiting.arrived + self.seconds - now

    def in_time(self, waiting: Iterable[_Waiting[Any]], now: float, seconds: float) -> int:
        """How many of the requests are in time if they are answered in so many seconds."""
        return sum(self.left(one, now) >= seconds for one in waiting)


class _Draft(Generic[T]):
    """A batch that is being put together: what is in it, and what was passed over for it."""

    def __init__(self, budget: Budget, now: float, target: LatencyTarget | None = None) -> None:
        self.chosen: list[_Waiting[T]] = []
        self.passed: list[_Waiting[T]] = []
        self.used: dict[str, int] = {}
        self._budget = budget
        self._now = now
        self._target = target
        self._left = math.inf  # seconds until the first of its requests would be late

    def fill(self, queue: Iterable[_Waiting[T]], share: int, max_skips: int) -> None:
        """Take at most ``share`` of what waits, in order, as far as it fits."""
        for waiting in queue:
            if self._fits(waiting):
                self.chosen.append(waiting)
                add_sizes(self.used, waiting.sizes)
                if len(self.chosen) == share:
                    return
                continue
            self.passed.append(waiting)
            # Nothing overtakes a request that was skipped often enough; and looking further
            # than a few requests that do not fit costs more than it finds.
            if waiting.skipped >= max_skips or len(self.passed) >= max_skips:
                return

    def _fits(self, waiting: _Waiting[T]) -> bool:
        if self.chosen and not self._budget.holds(self.used, waiting.sizes):
            return False
        if self._target is None:
            return True
        left = self._target.left(waiting, self._now)
        if self._target.predict(waiting.sizes) > left:
            left = math.inf  # it will be late even alone, so nothing is gained by hurrying
        left = min(left, self._left)
        if self.chosen and left < math.inf:
            sizes = dict(self.used)
            add_sizes(sizes, waiting.sizes)
            if self._target.predict(sizes) > left:
                return False
        self._left = left
        return True


class Batcher(Generic[T]):
    """A queue whose ``take`` returns the next batch: what fits the budget, oldest first.

    It is work-conserving: ``take`` returns as soon as anything waits, unless ``max_queue_delay``
    (seconds) asks it to wait for more. The first request is always admitted. A request that does
    not fit may be overtaken by later ones that do, at most ``max_skips`` times. Where several
    takers are free, they share what waits, so that no core idles beside a large batch.

    A priority is a head start: each level is worth ``head_start`` places in the queue. So urgent
    requests overtake, requests of one priority stay in order, and none starves: at most
    ``head_start`` later requests per level pass it.

    With a ``latency_target`` a request is also put off where the batch would else take longer than
    one of its requests has left, provided that this makes more requests in time than it makes late:
    see :meth:`_hurry`.
    """

    def __init__(
        self,
        budget: Budget,
        *,
        capacity: int = 10_000,
        waiting: Budget | None = None,
        max_queue_delay: float = 0.0,
        max_skips: int = 16,
        head_start: int = 1_000,
        latency_target: LatencyTarget | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Bound batches by ``budget``, and the queue by ``capacity`` requests and ``waiting``.

        A queue that is empty takes any request.
        """
        self._budget = budget
        self._capacity = capacity
        self._waiting = waiting or Budget()
        self._delay = max_queue_delay
        self._max_skips = max_skips
        self._head_start = head_start
        self._target = latency_target
        self._clock = clock
        self._queue: list[_Waiting[T]] = []  # by rank
        self._by_age: deque[_Waiting[T]] = deque()  # its first has not been taken
        self._sizes: dict[str, int] = {}  # of all that waits
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
            if full := self._full(sizes):
                raise Unavailable(f"the queue is full ({full} wait); try again {self._hint()}")
            rank = self._arrivals + priority * self._head_start
            self._arrivals += 1
            entry = _Waiting(item, {**sizes, "requests": 1}, rank, self._clock())
            insort(self._queue, entry, key=lambda other: other.rank)
            self._by_age.append(entry)
            add_sizes(self._sizes, entry.sizes)
            self._changed.notify()

    def take(self, timeout: float | None = None, *, most: int | None = None) -> list[T] | None:
        """Wait for work and return the next batch, of at most so many requests.

        An empty list says that the queue is closed and drained; None, that nothing came within
        ``timeout`` seconds.
        """
        give_up = None if timeout is None else self._clock() + timeout
        with self._changed:
            self._takers += 1
            try:
                while not self._ready():
                    if self._closed and not self._queue:
                        return []
                    left = None if give_up is None else give_up - self._clock()
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
            self._by_age.clear()
            self._sizes.clear()
            return items

    def close(self) -> None:
        """Refuse new requests; takers drain what waits and then get empty lists."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _full(self, sizes: Mapping[str, int]) -> str:
        """What there is too much of to let a request of ``sizes`` wait, too; "" if nothing is."""
        if len(self._queue) >= self._capacity:
            return f"{self._capacity:,} requests"
        for name, most in self._waiting.items():
            if self._queue and self._sizes.get(name, 0) + sizes.get(name, 0) > most:
                return f"{self._sizes.get(name, 0):,} {name}"
        return ""

    def _hint(self) -> str:
        seconds = math.ceil(len(self._queue) * self._pace.seconds)
        return f"in about {seconds:,} s" if seconds else "later"

    def _ready(self) -> bool:
        if not self._queue:
            return False
        if self._closed or not self._delay:
            return True
        return self._patience() == 0.0 or not self._budget.holds({}, self._sizes)

    def _patience(self) -> float | None:
        if not self._queue or not self._delay:
            return None
        oldest = self._by_age[0]
        now = self._clock()
        patience = oldest.arrived + self._delay - now
        if self._target is not None:
            patience = min(
                patience, self._target.left(oldest, now) - self._target.predict(self._sizes)
            )
        return max(0.0, patience)

    def _pick(self, most: int | None) -> list[T]:
        share = -(-len(self._queue) // self._takers)
        if most is not None:
            share = min(share, most)
        now = self._clock()
        draft: _Draft[T] = _Draft(self._budget, now)
        draft.fill(self._queue, share, self._max_skips)
        if self._target is not None:
            draft = self._hurry(self._target, draft, share, now)
        for waiting in draft.passed:
            waiting.skipped += 1
        self._queue[: len(draft.chosen) + len(draft.passed)] = draft.passed
        for waiting in draft.chosen:
            waiting.taken = True
            for name, size in waiting.sizes.items():
                self._sizes[name] -= size
        while self._by_age and self._by_age[0].taken:
            self._by_age.popleft()
        self._pace.taken(len(draft.chosen), now, more=bool(self._queue))
        if self._queue:
            self._changed.notify()
        return [waiting.item for waiting in draft.chosen]

    def _hurry(self, target: LatencyTarget, full: _Draft[T], share: int, now: float) -> _Draft[T]:
        """A smaller batch in place of the ``full`` one, where that is better for the target.

        The smaller one puts off each request with which it would take longer than one of its own
        has left. What is put off then waits for it, and the fixed cost of a batch is paid again, by
        all who arrive before the queue is empty. So it is taken only where it brings more requests
        in time than ``_CAUTION`` times those that arrive in that while. Without this a queue that
        is once long stays so: batches of requests that have hardly any time left are small, and
        small batches answer fewer requests per second.
        """
        if target.predict(full.used) <= min(target.left(one, now) for one in full.chosen):
            return full
        small: _Draft[T] = _Draft(self._budget, now, target)
        small.fill(self._queue, share, self._max_skips)
        chosen = set(small.chosen)
        put_off = [one for one in full.chosen if one not in chosen]
        sizes: dict[str, int] = {}
        for one in put_off:
            add_sizes(sizes, one.sizes)
        first = target.predict(small.used)
        both = first + target.predict(sizes)
        at_once = target.predict(full.used)
        gain = target.in_time(small.chosen, now, first) + target.in_time(put_off, now, both)
        gain -= target.in_time({*full.chosen, *chosen}, now, at_once)
        arrivals = (both - at_once) / self._pace.seconds if self._pace.seconds else 0.0
        return small if gain > _CAUTION * arrivals else full


def add_sizes(used: dict[str, int], sizes: Mapping[str, int]) -> None:
    """Add what a request has of each dimension to what is ``used``."""
    for name, size in sizes.items():
        used[name] = used.get(name, 0) + size
