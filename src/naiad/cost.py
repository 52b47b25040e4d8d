"""What a batch costs: seconds as a simple function of its sizes, measured or learned."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from operator import mul
from typing import Any

from naiad.errors import InvalidInput

_MEMORY = 0.97  # weight that a batch keeps with each later one: about 30 batches count
_SWEEPS = 8  # of coordinate descent per batch; the solution before is where they begin
_BELIEF = 10**0.5  # a prior counts as this, squared, many batches
_TINY = 1e-9


@dataclass(frozen=True, slots=True)
class Knee:
    """Where a dimension gets dearer: ``slope`` more seconds per row beyond ``at`` rows."""

    dim: str
    at: float
    slope: float


@dataclass(frozen=True, slots=True)
class Cost:
    """``seconds = fixed + sum(per[d] * size[d]) + knee.slope * max(0, size[knee.dim] - knee.at)``.

    Attributes:
        fixed: seconds of a batch, whatever is in it.
        per: seconds per row of each named dimension; ``requests`` is one of them.
        knee: the one dimension that gets dearer where caches overflow, if any does.
    """

    fixed: float = 0.0
    per: Mapping[str, float] = field(default_factory=dict[str, float])
    knee: Knee | None = None

    def seconds(self, sizes: Mapping[str, int]) -> float:
        """What a batch of these sizes is predicted to take."""
        total = self.fixed + sum(slope * sizes.get(dim, 0) for dim, slope in self.per.items())
        return total + self.beyond(sizes)

    def beyond(self, sizes: Mapping[str, int]) -> float:
        """The share of it that comes from being beyond the knee."""
        if self.knee is None:
            return 0.0
        return self.knee.slope * max(0.0, sizes.get(self.knee.dim, 0) - self.knee.at)

    def to_json(self) -> dict[str, Any]:
        """As JSON has it."""
        knee = self.knee
        return {
            "fixed": self.fixed,
            "per": dict(self.per),
            "knee": knee and {"dim": knee.dim, "at": knee.at, "slope": knee.slope},
        }

    @classmethod
    def from_json(cls, data: Any) -> Cost:
        """The inverse of :meth:`to_json`.

        Raises:
            InvalidInput: it is something else, or says that something costs less than nothing.
        """
        try:
            knee = data["knee"] and Knee(
                str(data["knee"]["dim"]), float(data["knee"]["at"]), float(data["knee"]["slope"])
            )
            per = {str(dim): float(slope) for dim, slope in data["per"].items()}
            cost = cls(float(data["fixed"]), per, knee)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InvalidInput(f"{data!r} is no cost of a batch: {error!r}") from None
        slopes = (cost.fixed, *per.values(), *((knee.at, knee.slope) if knee else ()))
        for value in slopes:
            if not 0 <= value < math.inf:
                raise InvalidInput(f"a cost of {value:g} s; it must be finite and at least 0")
        return cost


class Learner:
    """Learns the cost of batches from those that ran; what is long ago counts less.

    Least squares of the relative error, with no coefficient below zero, by coordinate descent
    (Franc, Hlavac and Navara, "Sequential coordinate-wise algorithm for the non-negative least
    squares problem", CAIP 2005) on normal equations in which each batch counts 3% less with every
    later one. Until the first batch has run it predicts 0, or what a ``prior`` says; that counts
    as ten batches do.
    """

    def __init__(self, dims: Iterable[str], prior: Cost | None = None) -> None:
        """Learn what rows of ``dims`` cost, beginning with what is believed, if anything is."""
        self._dims = tuple(dict.fromkeys(dims))
        count = 1 + len(self._dims)
        self._squares = [[0.0] * count for _ in range(count)]
        self._products = [0.0] * count
        self._lock = threading.Lock()
        self.cost = prior or Cost()
        """What is believed now."""
        if prior is not None:
            self._believe(prior)

    def seconds(self, sizes: Mapping[str, int]) -> float:
        """What a batch of these sizes is predicted to take."""
        return self.cost.seconds(sizes)

    def learn(self, sizes: Mapping[str, int], seconds: float) -> None:
        """A batch of these sizes took so many seconds."""
        seconds = max(_TINY, seconds)
        cost = self.cost
        with self._lock:
            for squares in self._squares:
                squares[:] = [_MEMORY * value for value in squares]
            self._products = [_MEMORY * value for value in self._products]
            self._count(sizes, max(0.0, seconds - cost.beyond(sizes)), 1.0 / seconds)
            fixed, *slopes = self._descend([cost.fixed, *(cost.per.get(d, 0) for d in self._dims)])
            self.cost = Cost(fixed, dict(zip(self._dims, slopes, strict=True)), cost.knee)

    def _believe(self, prior: Cost) -> None:
        """Count a batch of nothing, and for each dimension one in which that costs as much."""
        share = max(prior.fixed, 1e-3)
        self._count({}, prior.fixed, _BELIEF / share)
        for dim in self._dims:
            if slope := prior.per.get(dim, 0.0):
                total = prior.fixed + share
                self._count({dim: share / slope}, total, _BELIEF / total)

    def _count(self, sizes: Mapping[str, float], seconds: float, weight: float) -> None:
        row = [weight, *(weight * sizes.get(dim, 0) for dim in self._dims)]
        for i, value in enumerate(row):
            squares = self._squares[i]
            for j, other in enumerate(row):
                squares[j] += value * other
            self._products[i] += value * weight * seconds

    def _descend(self, solution: list[float]) -> list[float]:
        for _ in range(_SWEEPS):
            # The fixed cost comes last: as long as batches of one size tell nothing of larger ones,
            # those are taken to cost as much more as they are larger.
            for i in reversed(range(len(solution))):
                squares = self._squares[i]
                if squares[i] > 0:
                    error = self._products[i] - sum(map(mul, squares, solution))
                    solution[i] = max(0.0, solution[i] + error / squares[i])
        return solution
