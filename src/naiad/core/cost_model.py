"""The cost of a batch: seconds as a simple function of its sizes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import msgspec

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

    def __post_init__(self) -> None:
        knee = self.knee
        for value in (self.fixed, *self.per.values(), *((knee.at, knee.slope) if knee else ())):
            if not 0 <= value < math.inf:
                raise InvalidInput(f"a cost of {value:g} s; it must be finite and at least 0")

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
        return asdict(self)

    @classmethod
    def from_json(cls, data: Any) -> Cost:
        """Return the cost that :meth:`to_json` wrote.

        Raises:
            InvalidInput: ``data`` is not such a cost, or has a negative or infinite value.
        """
        try:
            return msgspec.convert(data, cls)
        except msgspec.ValidationError as error:
            raise InvalidInput(f"{data!r} is not a batch cost: {error}") from None
