"""The exponent of a power law, fitted to a series by least squares on logarithms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

_DECADE = 10


@dataclass(frozen=True, slots=True)
class Fit:
    """Exponents of growth with size.

    Attributes:
        exponent: over all sizes, of the medians of rounds.
        least, most: range of the exponents of the rounds.
        tail: over the largest sizes, a factor of ten of them: fixed costs hide growth before.
    """

    exponent: float
    least: float
    most: float
    tail: float


def fit(values: Mapping[int, Sequence[float]]) -> Fit | None:
    """Fit a series: the values of rounds, by size; None with fewer than two sizes above 0."""
    medians = {size: median(found) for size, found in sorted(values.items())}
    medians = {size: value for size, value in medians.items() if value > 0}
    if len(medians) < 2:
        return None
    end = {size: value for size, value in medians.items() if size * _DECADE >= max(medians)}
    if len(end) < 2:
        end = dict(list(medians.items())[-2:])
    rounds = min(len(values[size]) for size in medians)
    each = [
        exponent(one)
        for number in range(rounds)
        if min((one := {size: values[size][number] for size in medians}).values()) > 0
    ]
    whole = exponent(medians)
    return Fit(whole, min([*each, whole]), max([*each, whole]), exponent(end))


def exponent(values: Mapping[int, float]) -> float:
    """Return the slope of log value over log size."""
    sizes, found = np.log(list(values)), np.log(list(values.values()))
    return float(np.polyfit(sizes, found, 1)[0])
