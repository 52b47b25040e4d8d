"""Time of a run: that of its steps so far, and the rest of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class Clock:
    """Seconds of the steps of a work, such as starting and arrivals, by their names."""

    spent: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Add the time of a block to that of ``step``."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.spent[step] = self.spent.get(step, 0.0) + time.monotonic() - began

    def __str__(self) -> str:
        return ", ".join(f"{step} {seconds:.0f} s" for step, seconds in self.spent.items())


@dataclass(slots=True)
class Pace:
    """Time of parts of a run by kind, such as trials and visits.

    Attributes:
        guess: seconds of a part of each kind, until one is done.
        left: number of parts to come.
    """

    guess: Mapping[str, float]
    left: Counter[str]
    _done: dict[str, list[float]] = field(default_factory=dict)

    @contextmanager
    def part(self, kind: str) -> Iterator[None]:
        """Count a part of the run, and its time."""
        began = time.monotonic()
        yield
        self.left[kind] -= 1
        self._done.setdefault(kind, []).append(time.monotonic() - began)

    def skip(self, kind: str) -> None:
        """Leave a part out."""
        self.left[kind] -= 1

    @property
    def remaining(self) -> float:
        """Seconds to come, if each part takes as long as those of its kind did on average."""
        return sum(number * self._mean(kind) for kind, number in self.left.items())

    def _mean(self, kind: str) -> float:
        done = self._done.get(kind)
        return sum(done) / len(done) if done else self.guess[kind]
