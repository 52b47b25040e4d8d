"""Terminal report on vectors of texts: the texts that are most like the first."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from naiad.console import print_bars, say, shortened
from naiad.tasks.task import Found

_SHOWN: Final = 10  # texts compared with the first
_LETTERS: Final = 60  # of each


class LikeTheFirst:
    """A `Report` of the texts that are most like the first, by the cosine of their vectors."""

    def __init__(self) -> None:
        """Begin without texts."""
        self._first: tuple[str, NDArray[Any]] | None = None
        self._others: list[tuple[float, str]] = []
        self._texts = 0

    def add(self, found: Found) -> None:
        """Take one more text."""
        self._texts += 1
        vector = found.result / max(float(np.linalg.norm(found.result)), 1e-12)
        name = shortened(found.name, _LETTERS)
        if self._first is None:
            self._first = name, vector
        else:
            self._others.append((float(vector @ self._first[1]), name))

    def print(self, seconds: float) -> None:
        """Print the most similar texts, the best first."""
        assert self._first is not None
        name, vector = self._first
        say(f"{self._texts:,} texts, {len(vector)} numbers each")
        best = sorted(self._others, key=lambda other: -other[0])[:_SHOWN]
        if best:
            say("like ", (name, "bold"), " are, by cosine:")
            print_bars([text for _, text in best], [cosine for cosine, _ in best])
