"""Texts with realistic lengths, for measurements."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

_WORDS: Final = (
    *("the", "a", "of", "and", "to", "in", "is", "was", "for", "on", "that", "with", "as", "it"),
    *("election", "planet", "market", "payment", "telescope", "minister", "company", "orbit"),
    *("voters", "price", "galaxy", "parliament", "bank", "mission", "tax", "moon", "invoice"),
    *("announced", "discovered", "rose", "debated", "launched", "paid", "found", "elected"),
)

_MEDIAN = 20.0  # words: a sentence or two
_SPREAD = 0.8  # of the logarithm: one text in twenty has over 75 words
_MOST = 400


def simulated_texts(n: int, seed: int = 0) -> Iterator[str]:
    """Yield ``n`` meaningless texts of common words, 1 to 400 words long, most 10 to 40."""
    rng = np.random.default_rng(seed)
    for _ in range(n):
        words = int(np.clip(rng.lognormal(np.log(_MEDIAN), _SPREAD), 1, _MOST))
        yield " ".join(_WORDS[word] for word in rng.integers(len(_WORDS), size=words))
