"""The queue and the cost model of the native backend once more, as plainly as can be.

``batcher.h`` and ``cost_model.h`` must do the same. Nothing here is fast, waits or knows of
threads: time is a number that a test sets.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from naiad.core.budget import Budget, add_sizes
from naiad.core.cost_model import Cost
from naiad.core.schema import REQUESTS

MAX_SKIPS = 16
HEAD_START = 1_000
CAUTION = 4.0
MEMORY, SWEEPS, BELIEF, TINY = 0.97, 8, 10**0.5, 1e-9


@dataclass(eq=False)
class Entry:
    """A request that waits; the lower its ``rank``, the sooner it is taken."""

    number: int
    sizes: dict[str, int]
    rank: int
    arrived: float
    skipped: int = field(default=0)


@dataclass
class Batcher:
    """A queue that one taker asks for the next batch; see ``batcher.h`` for its rules.

    Requests are numbered in the order of ``put``. ``target`` and ``delay`` are seconds, and
    ``predict`` says how many a batch of given sizes will take.
    """

    budget: Budget
    capacity: int = 10_000
    waiting: Budget = field(default_factory=Budget)
    delay: float = 0.0
    target: float | None = None
    predict: Callable[[Mapping[str, int]], float] = Cost().seconds
    now: float = 0.0
    queue: list[Entry] = field(default_factory=list[Entry])
    count: int = 0
    accepted: int = 0
    pace: float = 0.0
    since: float | None = None

    def put(self, sizes: Mapping[str, int], priority: int = 0) -> str:
        """Add a request; "", or why it cannot be added."""
        self.count += 1
        if much := self.full(sizes):
            seconds = math.ceil(len(self.queue) * self.pace)
            hint = f"in about {seconds:,} s" if seconds else "later"
            return f"the queue is full ({much} waiting); try again {hint}"
        rank = self.accepted + priority * HEAD_START
        self.accepted += 1
        entry = Entry(self.count - 1, {**sizes, REQUESTS: 1}, rank, self.now)
        insort(self.queue, entry, key=lambda other: other.rank)
        return ""

    def full(self, sizes: Mapping[str, int]) -> str:
        """What there is too much of; "" if nothing is."""
        if len(self.queue) >= self.capacity:
            return f"{self.capacity:,} requests"
        for name, most in self.waiting.items():
            total = total_of(self.queue).get(name, 0)
            if self.queue and total + sizes.get(name, 0) > most:
                return f"{total:,} {name}"
        return ""

    def take(self, most: int) -> list[int]:
        """The next batch; empty where nothing waits, or it should wait for more."""
        if not self.queue or not self.ready():
            return []
        share = min(len(self.queue), most)
        chosen, passed = self.fill(share, self.has_room)
        if self.target is not None:
            chosen, passed = self.hurried(chosen, passed, share)
        for entry in passed:
            entry.skipped += 1
        taken = set(chosen)
        self.queue = [entry for entry in self.queue if entry not in taken]
        if self.since is not None:
            seconds = (self.now - self.since) / len(chosen)
            self.pace += (seconds - self.pace) * (0.1 if self.pace else 1.0)
        self.since = self.now if self.queue else None
        return [entry.number for entry in chosen]

    def ready(self) -> bool:
        if not self.delay or not self.budget.holds({}, total_of(self.queue)):
            return True
        waited = self.now - min(entry.arrived for entry in self.queue)
        if waited >= self.delay:
            return True
        left = math.inf if self.target is None else self.target - waited
        return left <= self.predict(total_of(self.queue))

    def fill(
        self, share: int, fits: Callable[[list[Entry], Entry], bool]
    ) -> tuple[list[Entry], list[Entry]]:
        """Of what waits, in order: what is taken, and what is passed over for it."""
        chosen: list[Entry] = []
        passed: list[Entry] = []
        for entry in self.queue:
            if len(chosen) == share:
                break
            if fits(chosen, entry):
                chosen.append(entry)
                continue
            passed.append(entry)
            if entry.skipped >= MAX_SKIPS or len(passed) >= MAX_SKIPS:
                break
        return chosen, passed

    def has_room(self, chosen: list[Entry], entry: Entry) -> bool:
        return not chosen or self.budget.holds(total_of(chosen), entry.sizes)

    def left(self, entry: Entry) -> float:
        assert self.target is not None
        return self.target - (self.now - entry.arrived)

    def hurried(
        self, full: list[Entry], full_passed: list[Entry], share: int
    ) -> tuple[list[Entry], list[Entry]]:
        at_once = self.predict(total_of(full))
        if at_once <= min(map(self.left, full)):
            return full, full_passed

        def fits(chosen: list[Entry], entry: Entry) -> bool:
            if not self.has_room(chosen, entry):
                return False
            if not chosen:
                return True
            # Those that would be late even alone bound nothing.
            bounds = [
                self.left(one)
                for one in (*chosen, entry)
                if self.predict(one.sizes) <= self.left(one)
            ]
            return self.predict(total_of([*chosen, entry])) <= min(bounds, default=math.inf)

        small, small_passed = self.fill(share, fits)
        put_off = [entry for entry in full if entry not in small]
        first = self.predict(total_of(small))
        both = first + self.predict(total_of(put_off))

        def in_time(entries: Iterable[Entry], seconds: float) -> int:
            return sum(self.left(entry) >= seconds for entry in entries)

        gain = in_time(small, first) + in_time(put_off, both) - in_time({*full, *small}, at_once)
        arrivals = (both - at_once) / self.pace if self.pace else 0.0
        return (small, small_passed) if gain > CAUTION * arrivals else (full, full_passed)


def total_of(entries: Iterable[Entry]) -> dict[str, int]:
    total: dict[str, int] = {}
    for entry in entries:
        add_sizes(total, entry.sizes)
    return total


class Learner:
    """Learns what batches cost: see ``cost_model.h``."""

    def __init__(self, dims: Sequence[str], prior: Cost | None = None) -> None:
        self.dims = dims
        self.cost = prior or Cost()
        self.batches: list[tuple[list[float], float, float]] = []  # columns, seconds, weight
        if prior is not None:
            share = max(prior.fixed, 1e-3)
            self._count({}, prior.fixed, BELIEF / share)
            for dim in dims:
                if slope := prior.per.get(dim, 0.0):
                    total = prior.fixed + share
                    self._count({dim: share / slope}, total, BELIEF / total)

    def learn(self, sizes: Mapping[str, float], seconds: float) -> None:
        seconds = max(TINY, seconds)
        self.batches = [(row, took, weight * MEMORY**0.5) for row, took, weight in self.batches]
        self._count(sizes, max(0.0, seconds - self.cost.beyond(sizes)), 1 / seconds)
        solution = [self.cost.fixed, *(self.cost.per.get(dim, 0.0) for dim in self.dims)]
        for _ in range(SWEEPS):
            for column in reversed(range(len(solution))):
                self._descend(solution, column)
        fixed, *slopes = solution
        self.cost = Cost(fixed, dict(zip(self.dims, slopes, strict=True)), self.cost.knee)

    def _count(self, sizes: Mapping[str, float], seconds: float, weight: float) -> None:
        self.batches.append(([1.0, *(sizes.get(dim, 0) for dim in self.dims)], seconds, weight))

    def _descend(self, solution: list[float], column: int) -> None:
        """Make one coefficient that with which the squares of the errors are least."""
        steep = error = 0.0
        for row, seconds, weight in self.batches:
            predicted = sum(map(lambda a, b: a * b, row, solution))
            steep += (weight * row[column]) ** 2
            error += weight**2 * row[column] * (seconds - predicted)
        if steep > 0:
            solution[column] = max(0.0, solution[column] + error / steep)
