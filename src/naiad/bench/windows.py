"""When a measurement may be believed: the last windows of time agree with each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from naiad.bench.load import Load, Log
from naiad.bench.statistics import percentile

Verdict: TypeAlias = Literal["stable", "not stable", "overloaded", "failing"]
"""How a measurement ended.

``stable``: the last windows agree. ``not stable``: they never did, within the allowed number.
``overloaded``: requests arrive faster than they are answered. ``failing``: no request of a whole
window was answered.
"""

AGREEING = 3
_BEHIND = 0.9  # of what was due; a queue that grows by a tenth of all requests has no end
_FEW = 20  # requests, of which two or three under way are more than a tenth


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of a measurement.

    Attributes:
        seconds: its length.
        due: requests that should have been sent in it.
        answered: requests that were answered in it, whenever sent.
        failed: requests that ended with an error in it.
        p50: median latency of those answered, in seconds; None where there are none.
    """

    seconds: float
    due: int
    answered: int
    failed: int
    p50: float | None

    def pace(self, load: Load) -> float:
        """How fast the server is, as far as the load does not say so itself.

        Answers per second in a closed loop. In an open loop, where that is given by the arrivals,
        their share that was answered: it does not fluctuate as the arrivals do.
        """
        return self.answered / (self.seconds if load.kind == "concurrency" else max(1, self.due))


def cut(log: Log, start: float, end: float) -> Window:
    """The window from ``start`` to ``end`` seconds."""
    done = log.done_in(start, end)
    latencies = [sample.latency for sample in done if not sample.error]
    return Window(
        seconds=end - start,
        due=log.due_in(start, end),
        answered=len(latencies),
        failed=len(done) - len(latencies),
        p50=percentile(latencies, 50) if latencies else None,
    )


@dataclass(frozen=True, slots=True)
class Rule:
    """The windows' length in seconds, how many must agree and may be tried, and how closely."""

    seconds: float
    agreeing: int = AGREEING
    most: int = 3 * AGREEING
    tolerance: float = 0.1

    def verdict(self, windows: Sequence[Window], load: Load) -> Verdict | None:
        """What the windows so far say; None while there may be more."""
        if windows and windows[-1].failed and not windows[-1].answered:
            return "failing"
        last = windows[-self.agreeing :]
        if len(last) == self.agreeing:
            if load.kind == "rate" and _is_behind(last):
                return "overloaded"
            if self.agree(last, load):
                return "stable"
        return "not stable" if len(windows) >= self.most else None

    def agree(self, windows: Sequence[Window], load: Load) -> bool:
        """Whether pace and median latency of each window are near their means over all."""
        medians = [window.p50 for window in windows if window.p50 is not None]
        return len(medians) == len(windows) and all(
            abs(value - mean) <= self.tolerance * mean
            for values in ([window.pace(load) for window in windows], medians)
            for mean in [sum(values) / len(values)]
            for value in values
        )


def _is_behind(windows: Sequence[Window]) -> bool:
    due = sum(window.due for window in windows)
    return due >= _FEW and sum(w.answered + w.failed for w in windows) < _BEHIND * due
