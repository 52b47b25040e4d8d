"""Back-off: waits that grow with each failure in a row."""

from __future__ import annotations

import random
from dataclasses import dataclass

_MOST_DOUBLINGS = 64  # beyond it every wait is the longest, and a float may overflow


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential back-off.

    Attributes:
        first: seconds to wait after the first failure.
        longest: most seconds to wait, jitter included.
        factor: ratio of each wait to the one before.
        jitter: most seconds of a random addition to each wait, so that clients which failed
            together do not return together.
    """

    first: float
    longest: float
    factor: float = 2.0
    jitter: float = 0.0

    def wait(self, failures: int) -> float:
        """Return the seconds to wait after ``failures`` in a row; 0 after none."""
        if failures < 1:
            return 0.0
        grown = self.first * self.factor ** min(failures - 1, _MOST_DOUBLINGS)
        return min(grown, self.longest - self.jitter) + random.uniform(0, self.jitter)
