"""The cost of a batch: seconds as a simple function of its sizes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from naiad.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Knee:
    """Point where a dimension costs more: ``slope`` extra seconds per row beyond ``at`` rows."""

    dim: str
    at: float
    slope: float


@dataclass(frozen=True, slots=True)
class Cost:
    """``seconds = fixed + sum(per[d] * size[d]) + knee.slope * max(0, size[knee.dim] - knee.at)``.

    Attributes:
        fixed: seconds per batch, independent of its content.
        per: seconds per row of each named dimension; ``requests`` is one of them.
        knee: the one dimension, if any, that costs more once caches overflow.
    """

    fixed: float = 0.0
    per: Mapping[str, float] = field(default_factory=dict[str, float])
    knee: Knee | None = None

    def seconds(self, sizes: Mapping[str, int]) -> float:
        """Return the predicted seconds for a batch of these sizes."""
        total = self.fixed + sum(slope * sizes.get(dim, 0) for dim, slope in self.per.items())
        return total + self.beyond(sizes)

    def beyond(self, sizes: Mapping[str, int]) -> float:
        """Return the share of :meth:`seconds` that comes from rows beyond the knee."""
        if self.knee is None:
            return 0.0
        return self.knee.slope * max(0.0, sizes.get(self.knee.dim, 0) - self.knee.at)

    def to_json(self) -> dict[str, Any]:
        """Return the cost as JSON values."""
        knee = self.knee
        return {
            "fixed": self.fixed,
            "per": dict(self.per),
            "knee": knee and {"dim": knee.dim, "at": knee.at, "slope": knee.slope},
        }

    @classmethod
    def from_json(cls, data: Any) -> Cost:
        """Return the cost that :meth:`to_json` wrote.

        Raises:
            InvalidInput: ``data`` is not such a cost, or has a negative or infinite value.
        """
        try:
            knee = data["knee"] and Knee(
                str(data["knee"]["dim"]), float(data["knee"]["at"]), float(data["knee"]["slope"])
            )
            per = {str(dim): float(slope) for dim, slope in data["per"].items()}
            cost = cls(float(data["fixed"]), per, knee)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InvalidInput(f"{data!r} is not a batch cost: {error!r}") from None
        slopes = (cost.fixed, *per.values(), *((knee.at, knee.slope) if knee else ()))
        for value in slopes:
            if not 0 <= value < math.inf:
                raise InvalidInput(f"a cost of {value:g} s; it must be finite and at least 0")
        return cost
