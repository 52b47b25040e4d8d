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

    def __post_init__(self) -> None:
        knee = self.knee
        for value in (self.fixed, *self.per.values(), *((knee.at, knee.slope) if knee else ())):
            if not 0 <= value < math.inf:
                raise InvalidInput(f"a cost of {value:g} s; it must be finite and at least 0")

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
        return asdict(self)

    @classmethod
    def from_json(cls, data: Any) -> Cost:
        """The inverse of :meth:`to_json`.

        Raises:
            InvalidInput: it is something else, or says that something costs less than nothing.
        """
        try:
            return msgspec.convert(data, cls)
        except msgspec.ValidationError as error:
            raise InvalidInput(f"{data!r} is no cost of a batch: {error}") from None
