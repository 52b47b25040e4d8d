"""``batcher.h`` with the interface of :class:`tests.unit.native.reference.Batcher`."""

from __future__ import annotations

import json
from collections.abc import Mapping

from tests.unit.conftest import Talk

from naiad.core.budget import Budget
from naiad.core.cost_model import Cost

DIMS = ("requests", "nodes", "edges")
TICK = 1 / 512
"""Seconds; sums of these are exact, in Python's seconds and in the nanoseconds of C++."""
_NANOSECONDS = 1_953_125


class Queue:
    """A queue in the driver, whose clock stands still. Missing sizes are 0."""

    def __init__(
        self,
        driver: Talk,
        budget: Budget,
        *,
        capacity: int = 10_000,
        waiting: Budget | None = None,
        delay: float = 0.0,
        target: float | None = None,
        cost: Cost | None = None,
    ) -> None:
        contract = {
            "dims": DIMS,
            "budget": dict(budget),
            "waiting": dict(waiting or {}),
            "queue_capacity": capacity,
            "max_queue_delay": delay,
            "latency_target": target,
            "cost": cost and cost.to_json(),
        }
        self._driver = driver
        self.waiting = 0
        """Number of requests that wait."""
        driver.tell("new", json.dumps(contract))
        self.now = 0.0

    @property
    def now(self) -> float:
        """Seconds; rounded to a whole number of ticks."""
        return self._now * TICK

    @now.setter
    def now(self, seconds: float) -> None:
        self._now = round(seconds / TICK)
        self._driver.tell("at", self._now * _NANOSECONDS)

    def put(self, sizes: Mapping[str, int], priority: int = 0) -> str:
        said = {**sizes, "requests": 1}
        why = self._driver.ask("put", priority, *(said.get(dim, 0) for dim in DIMS))
        self.waiting += not why
        return why

    def take(self, most: int = 1_000_000) -> list[int]:
        return self._taken(self._driver.ask("take", most))

    def drain(self) -> list[int]:
        return self._taken(self._driver.ask("drain"))

    def _taken(self, line: str) -> list[int]:
        numbers = list(map(int, line.split()))
        self.waiting -= len(numbers)
        return numbers

    def close(self) -> None:
        self._driver.tell("close")

    @property
    def steps(self) -> int:
        """Number of looks at requests and of moves of them, by all queues so far."""
        return int(self._driver.ask("steps"))

    def share(self) -> list[int]:
        """Return the requests that each of two takers gets when the queue is closed."""
        return sorted(map(int, self._driver.ask("share").split()))
