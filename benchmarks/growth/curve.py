"""Curves: quantities measured by size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import psutil

from naiad.triton.memory import available

Point: TypeAlias = "tuple[str, int, float]"
"""Name of a series, size, and value in the unit of the series."""

_SHARE = 0.7  # of the free memory that one size may take

LINEAR = 1.1
"""Exponent above which a cost that should be proportional to the size is flagged."""

CONSTANT = 0.1
"""Exponent above which a cost that should not depend on the size is flagged."""


@dataclass(frozen=True, slots=True)
class Effort:
    """Effort of a measurement: rounds over all sizes, and seconds for each size under load."""

    runs: int = 5
    seconds: float = 3.0


@dataclass(frozen=True, slots=True)
class Series:
    """A quantity by size.

    Attributes:
        name: title of its column.
        unit: of its values; "" for ratios.
        most: exponent above which growth is flagged; None for quantities that are no cost.
        why: the known reason for growth above that; "" if there is none.
    """

    name: str
    unit: str
    most: float | None = None
    why: str = ""

    @property
    def title(self) -> str:
        """Name and unit."""
        return f"{self.name}, {self.unit}" if self.unit else self.name


@dataclass(frozen=True, slots=True)
class Curve:
    """Quantities measured at several sizes of one thing.

    Attributes:
        name: of its module.
        title: heading of its table.
        size: what grows, in the plural.
        sizes: in ascending order; the largest also sets how far the default goes.
        series: the quantities.
        measure: yields points, for each round each size; the first round's sizes ascend.
        tiny: sizes of a run that only shows that it works.
        memory: bytes that a size needs.
        note: text below the table.
    """

    name: str
    title: str
    size: str
    sizes: tuple[int, ...]
    series: tuple[Series, ...]
    measure: Callable[[Sequence[int], Effort], Iterator[Point]]
    tiny: tuple[int, ...]
    memory: Callable[[int], float] = field(default=lambda size: 0.0)
    note: str = ""

    def possible(self, largest: int | None, room: float | None = None) -> list[int]:
        """Return the sizes up to ``largest`` that fit in ``room`` bytes, by default free memory."""
        free = _SHARE * free_memory() if room is None else room
        return [s for s in self.sizes if s <= (largest or s) and self.memory(s) <= free]


def free_memory() -> float:
    """Return the bytes that this machine or container can still give."""
    return min(psutil.virtual_memory().available, available())
