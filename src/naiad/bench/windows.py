"""Stability of a measurement: its last windows of time must agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from naiad.bench.load import Load, Log
from naiad.bench.statistics import percentile

Verdict: TypeAlias = Literal["stable", "not stable", "overloaded", "failing"]
"""Outcome of a measurement.

``stable``: the last windows agree. ``not stable``: they did not, within the allowed number.
``overloaded``: requests arrive faster than they are answered. ``failing``: no request of a whole
window was answered.
"""

AGREEING = 3
_BEHIND = 0.9  # of the requests due; a queue that grows by a tenth of them never ends
_FEW = 20  # requests, of which two or three under way are more than a tenth


@dataclass(frozen=True, slots=True)
class Window:
    """A window of a measurement.

    Attributes:
        seconds: its length.
        due: number of requests that should have been sent in it.
        answered: number of requests answered in it, whenever sent.
        failed: number of requests that failed in it.
        p50: median latency of answered requests, in seconds; None if there are none.
    """

    seconds: float
    due: int
    answered: int
    failed: int
    p50: float | None

    def pace(self, load: Load) -> float:
        """Return the server's pace.

        It is the answers per second in a closed loop. In an open loop, where arrivals determine
        that, it is the share of them that was answered, which does not fluctuate as they do.
        """
        return self.answered / (self.seconds if load.kind == "concurrency" else max(1, self.due))


def cut(log: Log, start: float, end: float) -> Window:
    """Return the window from ``start`` to ``end`` seconds."""
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
    """Length of windows in seconds, number that must agree, maximum number, and tolerance."""

    seconds: float
    agreeing: int = AGREEING
    most: int = 3 * AGREEING
    tolerance: float = 0.1

    def verdict(self, windows: Sequence[Window], load: Load) -> Verdict | None:
        """Return the verdict on the windows so far; None to measure another."""
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
        """Return whether pace and median latency of each window are near their overall means."""
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
