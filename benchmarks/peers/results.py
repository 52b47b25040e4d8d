"""The measurements so far, in a file from which an interrupted run goes on."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from pathlib import Path

import msgspec
from benchmarks.peers.arrivals import Open
from benchmarks.peers.systems import NAIAD

LOAD = 0.7
"""Random arrivals, as a share of the best peer's highest throughput."""


class Closed(msgspec.Struct, frozen=True):
    """Answers per second, latencies in seconds, and cores that the load generator used."""

    throughput: float
    p50: float
    p99: float
    generator: float


class Trial(msgspec.Struct, frozen=True):
    """The first, short measurement of a system, once its answers are right, by clients.

    ``wait`` is the one of its settings with which it is measured from then on. ``problem`` says why
    a system is not measured with this work.
    """

    work: str
    system: str
    wait: float = 0.0
    closed: dict[int, Closed] = {}
    problem: str = ""


class Visit(msgspec.Struct, frozen=True):
    """The measurements of a system in one round."""

    work: str
    system: str
    round: int
    closed: dict[int, Closed] = {}
    open: Open | None = None
    problem: str = ""


class Settings(msgspec.Struct, frozen=True):
    """Settings that measurements must share to be compared.

    Attributes:
        clients: of the closed loops.
        seconds: of each measurement.
        cores: those of the systems.
        apart: whether the load generator had cores of its own.
        machine: the processor and the packages, in words.
    """

    clients: tuple[int, ...]
    seconds: float
    cores: int
    apart: bool
    machine: str


class Results(msgspec.Struct):
    """All measurements, as in the file."""

    settings: Settings
    versions: dict[str, str] = {}
    trials: list[Trial] = []
    visits: list[Visit] = []

    def trial(self, work: str, system: str) -> Trial | None:
        """Return a trial that was made."""
        return next((t for t in self.trials if (t.work, t.system) == (work, system)), None)

    def visit(self, work: str, system: str, number: int) -> Visit | None:
        """Return a visit of a round that was made."""
        wanted = work, system, number
        return next((v for v in self.visits if (v.work, v.system, v.round) == wanted), None)

    def visits_of(self, work: str, system: str) -> list[Visit]:
        """Return the visits without a problem, by round."""
        found = (v for v in self.visits if (v.work, v.system) == (work, system) and not v.problem)
        return sorted(found, key=lambda visit: visit.round)

    def rate(self, work: str) -> float | None:
        """Return the random arrivals per second; None without an answer of any peer.

        They are a share of the most answers per second that any peer gave in its trial, and remain
        the same once they were used.
        """
        for visit in self.visits:
            if visit.work == work and visit.open is not None:
                return visit.open.rate
        peers = (t for t in self.trials if t.work == work and t.system != NAIAD)
        speeds = [one.throughput for trial in peers for one in trial.closed.values()]
        return LOAD * max(speeds) if speeds else None

    def write(self, path: Path) -> None:
        """Replace the file at once."""
        part = path.with_suffix(".part")
        part.write_bytes(msgspec.json.format(msgspec.json.encode(self)))
        part.replace(path)


def read_results(path: Path, settings: Settings) -> Results:
    """Read the results of a run that is to go on with ``settings``; problems are left out.

    Raises:
        ValueError: the file is not one of results, or was measured with other settings.
    """
    found = msgspec.json.decode(path.read_bytes(), type=Results)
    if found.settings != settings:
        raise ValueError(
            f"{path} was measured with {found.settings}; this run has {settings}. Choose another "
            "folder with --output, or the same settings"
        )
    found.trials = [trial for trial in found.trials if not trial.problem]
    found.visits = [visit for visit in found.visits if not visit.problem]
    return found


def best(trials: Iterable[Trial]) -> Trial:
    """Return the best of a system's settings: by the product of its throughputs at all loads."""
    return max(trials, key=lambda trial: prod(one.throughput for one in trial.closed.values()))
