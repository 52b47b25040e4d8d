"""Throughput by numbers of concurrent workers and threads of each."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from statistics import median

import psutil

from naiad.runtime.spec import Spec
from naiad.tune.sweep import Candidate, Lot, checked
from naiad.tune.worker import Run, Worker

_ROUNDS = 5
_MOST_THREADS = 8
_MEMORY = 0.7  # share of the free memory that workers may take


@dataclass(slots=True)
class Team:
    """Numbers of workers and of threads of each, and the requests per second of each round."""

    instances: int
    threads: int
    rates: list[float] = field(default_factory=list[float])

    @property
    def throughput(self) -> float:
        """Median requests per second of all workers together."""
        return median(self.rates)


def teams(device: str) -> list[Team]:
    """Return the teams to try: single-threaded workers, and fewer with several threads."""
    if device != "cpu":
        return [Team(1, 1), Team(2, 1)]
    cores = len(os.sched_getaffinity(0))
    powers = [2**n for n in range(cores.bit_length()) if 2**n <= cores]
    pairs = {(count, 1) for count in (*powers, cores)}
    pairs |= {(cores // threads, threads) for threads in powers if 1 < threads <= _MOST_THREADS}
    return [Team(*pair) for pair in sorted(pairs)]


def measure_teams(
    spec: Spec,
    candidate: Candidate,
    seconds: float,
    on_progress: Callable[[str, float], None] = lambda text, share: None,
) -> list[Team]:
    """Run a candidate's batches repeatedly with each team in turn, about ``seconds`` in total.

    All workers are started first, as many of each thread count as the largest team needs; those of
    other teams idle. Teams that would not fit into the free memory are omitted.
    """
    found = teams(spec.device)
    with ExitStack() as stack:
        on_progress("starting workers", 0.0)
        pools = {1: _start(stack, replace(spec, threads=1), candidate.lots, 1)}
        room = _affordable(pools[1][0])
        for threads in sorted({team.threads for team in found}):
            pool = pools.setdefault(threads, [])
            needed = max(team.instances for team in found if team.threads == threads) - len(pool)
            needed = min(needed, room)
            pool += _start(stack, replace(spec, threads=threads), candidate.lots, needed)
            room -= needed
        found = [team for team in found if team.instances <= len(pools[team.threads])]
        window = seconds / ((_ROUNDS + 0.3) * len(found))
        for number in range(_ROUNDS + 1):
            for place, team in enumerate(found if number % 2 else reversed(found)):
                share = (number * len(found) + place) / ((_ROUNDS + 1) * len(found))
                on_progress(f"{team.instances} workers, {team.threads} threads each", share)
                workers = pools[team.threads][: team.instances]
                speed = _speed(workers, candidate.lots, window if number else 0.3 * window)
                if number:  # the first round warms up
                    team.rates.append(speed * candidate.throughput)
    return found


def _start(stack: ExitStack, spec: Spec, lots: Sequence[Lot], count: int) -> list[Worker]:
    """Start workers, give them the lots, and let them run the first."""
    workers = [stack.enter_context(closing(Worker(spec))) for _ in range(count)]
    for worker in workers:
        worker.ready()
        worker.begin([lot.requests for lot in lots])
    for worker in workers:
        worker.wait()
    return workers


def _affordable(worker: Worker) -> int:
    """Return the number of further workers like this one that fit into memory."""
    size = psutil.Process(worker.pid).memory_info().rss
    return int(_MEMORY * psutil.virtual_memory().available / size)


def _speed(workers: Sequence[Worker], lots: Sequence[Lot], seconds: float) -> float:
    """Return the speed-up of the workers together over the one that ran the lots before.

    It does not count requests: in a short time each team gets other lots, with larger or smaller
    requests.
    """
    for place, worker in enumerate(workers):
        worker.begin(first=place * len(lots) // len(workers), seconds=seconds)
    return sum(_pace(worker.wait(), lots) for worker in workers)


def _pace(runs: Sequence[Run], lots: Sequence[Lot]) -> float:
    """Return the speed-up of the runs over those of the same lots before."""
    return sum(lots[run.lot].typical for run in runs) / sum(checked(run).seconds for run in runs)
