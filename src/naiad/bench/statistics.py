"""Statistics of latencies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Latency:
    """Mean, percentiles and maximum in seconds, and the number of requests.

    Percentiles are nearest-rank: each is the latency of some request, without interpolation.
    """

    count: int
    mean: float
    p50: float
    p90: float
    p99: float
    max: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Latency | None:
        """Summarize ``seconds``; return None if there are none."""
        if not seconds:
            return None
        return cls(
            count=len(seconds),
            mean=float(np.mean(seconds)),
            p50=percentile(seconds, 50),
            p90=percentile(seconds, 90),
            p99=percentile(seconds, 99),
            max=float(max(seconds)),
        )


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest of ``values`` that at least ``percent`` percent do not exceed."""
    return float(np.percentile(values, percent, method="inverted_cdf"))
