"""Goals of the benchmark, and their outcomes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

from benchmarks.nugraph3.inputs import Size
from benchmarks.nugraph3.rounds import MANY, Round
from benchmarks.nugraph3.sides import NAIAD, SETTINGS
from benchmarks.reference.repository import AS_RUN, TUNED


@dataclass(frozen=True, slots=True)
class Goal:
    """A ratio, and its bound."""

    what: str
    sense: Literal["at least", "at most"]
    bound: float
    of: Callable[[Round], float]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A goal's ratio in each round."""

    what: str
    target: str
    ratios: tuple[float, ...]
    reached: bool

    @property
    def median(self) -> float:
        """Median over the rounds."""
        return median(self.ratios)

    def row(self) -> tuple[str, str, str, str, str]:
        """Return a table row: goal, target, median, range, verdict."""
        low, high = min(self.ratios), max(self.ratios)
        spread = f"{low:.3g} to {high:.3g}" if len(self.ratios) > 1 else "-"
        verdict = "reached" if self.reached else "**missed**"
        return self.what, self.target, f"{self.median:.3g}", spread, verdict

    def to_json(self) -> dict[str, Any]:
        """Return the outcome for JSON."""
        return {
            "what": self.what,
            "target": self.target,
            "ratios": self.ratios,
            "median": self.median,
            "reached": self.reached,
        }


def _throughput(size: Size, clients: int, other: str) -> Callable[[Round], float]:
    return lambda found: found.throughput_ratio(size, clients, SETTINGS[other])


def _p50(size: Size, other: str) -> Callable[[Round], float]:
    return lambda found: (
        found.speeds[size, 1, NAIAD].p50 / found.speeds[size, 1, SETTINGS[other]].p50
    )


def _tail(size: Size) -> Callable[[Round], float]:
    return lambda found: found.speeds[size, 1, NAIAD].p99 / found.speeds[size, 1, NAIAD].p50


def _loop(size: Size) -> Callable[[Round], float]:
    return lambda found: found.speeds[size, MANY, NAIAD].throughput / found.loop[size].throughput


_EIGHT = "throughput, 8 clients, {} events, to the reference {}"

GOALS = (
    Goal(
        _EIGHT.format("small", "as people run it"), "at least", 12, _throughput("small", 8, AS_RUN)
    ),
    Goal(
        _EIGHT.format("small", "with its best settings"),
        "at least",
        3.5,
        _throughput("small", 8, TUNED),
    ),
    Goal(
        _EIGHT.format("large", "as people run it"), "at least", 6, _throughput("large", 8, AS_RUN)
    ),
    Goal(
        _EIGHT.format("large", "with its best settings"),
        "at least",
        3.5,
        _throughput("large", 8, TUNED),
    ),
    Goal(
        "median latency, 1 client, small events, to the reference as people run it",
        "at most",
        0.2,
        _p50("small", AS_RUN),
    ),
    Goal("99th percentile to the median, 1 client, small events", "at most", 1.5, _tail("small")),
    *(
        Goal(
            f"throughput, {MANY} clients, {size} events, to a loop without a server",
            "at least",
            bound,
            _loop(size),
        )
        for size, bound in (("small", 0.92), ("large", 0.95))
    ),
)


def judge(rounds: Sequence[Round], goals: Sequence[Goal] = GOALS) -> list[Outcome]:
    """Return the outcome of each goal over all rounds."""
    return [
        outcome(goal.what, goal.sense, goal.bound, [goal.of(found) for found in rounds])
        for goal in goals
    ]


def outcome(
    what: str, sense: Literal["at least", "at most"], bound: float, ratios: Sequence[float]
) -> Outcome:
    """Return whether the median of ``ratios`` is within the bound."""
    middle = median(ratios)
    reached = middle >= bound if sense == "at least" else middle <= bound
    return Outcome(what, f"{sense} {bound:g}", tuple(ratios), reached)
