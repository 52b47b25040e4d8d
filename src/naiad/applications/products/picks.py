"""Products to go with a basket, and why."""

from __future__ import annotations

from dataclasses import dataclass

from naiad.core.schema import Arrays


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A product to go with a basket, and why.

    Attributes:
        product: its number.
        category: the name of its category, or "" if unknown.
        score: 0 to 1; picks are ordered by it.
        cosine: the cosine of its embedding with the basket's, -1 to 1; 0 if it has none yet.
        overlap: the overlap of its neighbourhood with the basket's, 0 to 1.
        shared: number of products bought both with it and with one of the basket.
        bought_together: number of products in the basket that it was bought with.
    """

    product: int
    category: str
    score: float
    cosine: float
    overlap: float
    shared: int
    bought_together: int

    def why(self) -> str:
        """Return the reasons in words: ``bought together with 1, 12 shared neighbours``."""
        reasons = [f"similar {self.cosine:.2f}"] if self.cosine else []
        if self.shared:
            reasons.insert(0, f"{self.shared:,} shared neighbour{'s' * (self.shared != 1)}")
        if self.bought_together:
            reasons.insert(0, f"bought together with {self.bought_together:,}")
        return ", ".join(reasons)


def picks(outputs: Arrays) -> list[Recommendation]:
    """Return the recommendations in a server's outputs, named as the attributes."""
    names = list(Recommendation.__dataclass_fields__)
    rows = zip(*(outputs[name].tolist() for name in names), strict=True)
    return [Recommendation(row[0], row[1].decode(), *row[2:]) for row in rows]
