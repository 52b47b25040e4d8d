"""Comparison and measurement of an application's two ways."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.examples.case import EXAMPLE, NAIAD, Case, Way
from benchmarks.nugraph3.goals import Outcome, outcome
from benchmarks.nugraph3.speed import Moment, Speed
from benchmarks.rounds import Speeds, alternating

from naiad.bench.measure import run
from naiad.core.schema import Arrays

_AT_ONCE = 4  # questions, so that Naiad's answers come from batches
_EACH = 2  # answers that each client waits for in a measurement, of slow applications
_LONGEST = 60.0  # seconds


@dataclass(frozen=True, slots=True)
class Found:
    """The measurements of an application.

    Attributes:
        case: the application.
        about: its questions.
        agreement: of the answers.
        rounds: the speeds of both ways in each round, by number of clients.
    """

    case: Case
    about: str
    agreement: str
    rounds: dict[int, list[Speeds]]

    def outcome(self, clients: int) -> Outcome:
        """Return the ratios of answers per second, and whether they reach the target."""
        speeds = self.rounds[clients]
        ratios = [one[NAIAD].throughput / one[EXAMPLE].throughput for one in speeds]
        return outcome(self.case.title, "at least", self.case.target or 0.0, ratios)

    def cpu(self, clients: int) -> float:
        """Return the median ratio of the servers' CPU time per answer."""
        speeds = self.rounds[clients]
        return median(one[EXAMPLE].server_cpu / one[NAIAD].server_cpu for one in speeds)

    def middle(self, clients: int, side: str, what: str) -> float:
        """Return the median over the rounds of an attribute of :class:`Speed`."""
        return median(getattr(one[side], what) for one in self.rounds[clients])

    def to_json(self) -> dict[str, Any]:
        """Return the measurements for JSON."""
        rounds = {
            clients: [{side: asdict(speed) for side, speed in one.items()} for one in speeds]
            for clients, speeds in self.rounds.items()
        }
        facts = {"name": self.case.name, "about": self.about, "agreement": self.agreement}
        return {**facts, "target": self.case.target, "rounds": rounds}

    @classmethod
    def of_json(cls, case: Case, told: Mapping[str, Any]) -> Found:
        """Return the measurements that :meth:`to_json` gave."""
        rounds = {
            int(clients): [{side: Speed(**speed) for side, speed in one.items()} for one in speeds]
            for clients, speeds in told["rounds"].items()
        }
        return cls(case, told["about"], told["agreement"], rounds)


def measure(
    case: Case,
    scratch: Path,
    *,
    runs: int,
    moment: Moment,
    small: bool,
    on_step: Callable[[str], None],
) -> Found:
    """Serve both ways, check that their answers agree, and measure them in turn.

    A measurement takes longer than ``moment`` where few answers would come within it.

    Raises:
        Different: they do not agree; says in what.
        RuntimeError: a request failed, or hardly any was answered.
    """
    scratch.mkdir()
    on_step(f"{case.name}: starting")
    with case.start(scratch, small) as ways:
        sides = {EXAMPLE: ways.example, NAIAD: ways.naiad}
        on_step(f"{case.name}: comparing answers")
        answers: dict[str, Sequence[Arrays]] = {}
        slowest = 0.0  # seconds per answer
        for name, way in sides.items():
            began = time.perf_counter()
            answers[name] = run(_answers(way))
            slowest = max(slowest, (time.perf_counter() - began) / len(way.questions))
        agreement = case.compare(answers[EXAMPLE], answers[NAIAD])
        rounds: dict[int, list[Speeds]] = {}
        for clients in case.clients:

            def step(side: str, clients: int = clients) -> None:
                on_step(f"{case.name}: {side}, {clients} at once")

            long = max(moment.seconds, min(_EACH * clients * slowest, _LONGEST))
            rounds[clients] = run(_rounds(sides, clients, runs, Moment(moment.lead_in, long), step))
    return Found(case, ways.about, agreement, rounds)


async def _answers(way: Way) -> Sequence[Arrays]:
    free = asyncio.Semaphore(_AT_ONCE)
    async with way.client() as client:

        async def one(question: Any) -> Arrays:
            async with free:
                return await way.ask(client, question)

        return await asyncio.gather(*map(one, way.questions))


async def _rounds(
    sides: dict[str, Way],
    clients: int,
    runs: int,
    moment: Moment,
    on_step: Callable[[str], None],
) -> list[Speeds]:
    senders = {name: (way.sender(), _pid(way)) for name, way in sides.items()}
    return await alternating(senders, clients, runs, moment, on_step)


def _pid(way: Way) -> int:
    assert way.server.pid is not None
    return way.server.pid
