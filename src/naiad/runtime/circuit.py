"""When a failing worker is started again: at once, after a growing rest, and on trial."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Circuit:
    """Counts failures in a row; too many of them open it, for a rest that doubles each time.

    While it is open nothing is run. After the rest it is half open: one request is tried, whose
    success closes it and whose failure opens it for longer. One request that kills its worker
    fails twice, in its batch and alone, so two failures in a row are met by a restart at once.

    Attributes:
        tolerance: failures in a row that do not open it.
        first_rest: seconds of the first rest.
        longest_rest: seconds beyond which rests do not grow.
        memory: seconds without a failure after which earlier ones are forgotten.
        clock: seconds, from any start.
        failures: failures in a row so far.
        reason: of the last failure.
    """

    tolerance: int = 2
    first_rest: float = 1.0
    longest_rest: float = 30.0
    memory: float = 60.0
    clock: Callable[[], float] = time.monotonic
    failures: int = 0
    reason: str = ""
    _last: float = field(default=0.0)
    _until: float = field(default=0.0)

    def failed(self, reason: str) -> None:
        """Count a failure."""
        now = self.clock()
        if now - self._last > self.memory:
            self.failures = 0
        self._last = now
        self.reason = reason
        self.failures += 1
        if (beyond := self.failures - self.tolerance) > 0:
            self._until = now + min(self.longest_rest, self.first_rest * 2.0 ** min(beyond - 1, 30))

    def succeeded(self) -> None:
        """Forget all failures."""
        self.failures = 0

    @property
    def rest(self) -> float:
        """Seconds until it may be tried again; 0.0 unless it is open."""
        if self.failures <= self.tolerance:
            return 0.0
        return max(0.0, self._until - self.clock())

    @property
    def on_trial(self) -> bool:
        """Whether it was open and nothing has succeeded since."""
        return self.failures > self.tolerance
