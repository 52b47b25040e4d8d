"""Products that go with a basket, and why."""

from __future__ import annotations

from dataclasses import dataclass

from naiad.core.schema import Arrays


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A product that is bought together with a basket, and why.

    Attributes:
        product: its number.
        category: its category's name, or "" where it is unknown.
        score: 0 to 1; what picks are ordered by.
        cosine: of its embedding with the basket's, -1 to 1.
        overlap: of its neighbourhood with the basket's, 0 to 1.
        shared: how many products were bought both with it and with one of the basket.
        bought_together: with how many of the basket it was bought.
    """

    product: int
    category: str
    score: float
    cosine: float
    overlap: float
    shared: int
    bought_together: int

    def why(self) -> str:
        """The reasons in words, such as ``bought together with 1; 12 shared neighbours``."""
        reasons = [f"similar {self.cosine:.2f}"]
        if self.shared:
            reasons.insert(0, f"{self.shared:,} shared neighbour{'s' * (self.shared != 1)}")
        if self.bought_together:
            reasons.insert(0, f"bought together with {self.bought_together:,}")
        return ", ".join(reasons)


def picks(outputs: Arrays) -> list[Recommendation]:
    """The recommendations in a server's outputs, which have the attributes' names."""
    names = list(Recommendation.__dataclass_fields__)
    rows = zip(*(outputs[name].tolist() for name in names), strict=True)
    return [Recommendation(row[0], row[1].decode(), *row[2:]) for row in rows]
