"""How many workers with how many threads each: throughput with all of them at work at once."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from statistics import median

import psutil

from naiad.runtime.executor import Executor, ProcessExecutor
from naiad.runtime.messages import Spec
from naiad.runtime.service import default_instances, make_executors
from naiad.tune.sweep import Candidate, Lot, run_checked

_ROUNDS = 5
_MOST_THREADS = 8
_MEMORY = 0.7  # of what is free now may be taken by the workers


@dataclass(slots=True)
class Team:
    """So many workers with so many threads each, and the requests per second of each round."""

    instances: int
    threads: int
    rates: list[float] = field(default_factory=list[float])

    @property
    def throughput(self) -> float:
        """Median requests per second of all workers together."""
        return median(self.rates)


def teams(device: str) -> list[Team]:
    """What is worth a try: one-threaded workers, and fewer that share the cores among threads."""
    if device != "cpu":
        return [Team(1, 1), Team(2, 1)]
    cores = default_instances(device)
    powers = [2**n for n in range(cores.bit_length()) if 2**n <= cores]
    pairs = {(count, 1) for count in (*powers, cores)}
    pairs |= {(cores // threads, threads) for threads in powers if 1 < threads <= _MOST_THREADS}
    return [Team(*pair) for pair in sorted(pairs)]


def measure_teams(
    spec: Spec,
    kind: str,
    candidate: Candidate,
    seconds: float,
    on_progress: Callable[[str, float], None] = lambda text, share: None,
) -> list[Team]:
    """Run a candidate's batches over and over with each team in turn, about ``seconds`` in total.

    All workers are started first, as many of each thread count as the largest team needs; those of
    other teams idle. Teams that would not fit into the free memory are left out.
    """
    # In one process all models share one setting of threads, so there is nothing to compare.
    found = [team for team in teams(spec.device) if team.threads == 1 or kind == "process"]
    with ExitStack() as stack:
        on_progress("starting workers", 0.0)
        first = _start(stack, replace(spec, threads=1), kind, 1)
        room = _affordable(first)
        pools = {1: first}
        for threads in sorted({team.threads for team in found}):
            pool = pools.setdefault(threads, [])
            needed = max(team.instances for team in found if team.threads == threads) - len(pool)
            needed = needed if room is None else min(needed, room)
            pool += _start(stack, replace(spec, threads=threads), kind, needed)
            room = None if room is None else room - needed
        found = [team for team in found if team.instances <= len(pools[team.threads])]
        window = seconds / ((_ROUNDS + 0.3) * len(found))
        for number in range(_ROUNDS + 1):
            for place, team in enumerate(found if number % 2 else reversed(found)):
                share = (number * len(found) + place) / ((_ROUNDS + 1) * len(found))
                on_progress(f"{team.instances} workers, {team.threads} threads each", share)
                executors = pools[team.threads][: team.instances]
                speed = _speed(executors, candidate.lots, window if number else 0.3 * window)
                if number:  # the first round warms up
                    team.rates.append(speed * candidate.throughput)
    return found


def _start(stack: ExitStack, spec: Spec, kind: str, count: int) -> list[Executor]:
    executors = make_executors(spec, instances=count, kind=kind)
    for executor in executors:
        stack.callback(executor.close)
        if isinstance(executor, ProcessExecutor):
            executor.launch()
    for executor in executors:
        executor.start()
    return executors


def _affordable(executors: Sequence[Executor]) -> int | None:
    """How many more workers as large as this one there is memory for; None: not known."""
    first = executors[0]
    if not isinstance(first, ProcessExecutor) or first.pid is None:
        return None
    size = psutil.Process(first.pid).memory_info().rss
    return int(_MEMORY * psutil.virtual_memory().available / size)


def _speed(executors: Sequence[Executor], lots: Sequence[Lot], seconds: float) -> float:
    """How much faster the executors are together than the one that ran the lots before.

    Not a count of requests: in a short time each team has other lots, with larger requests or
    smaller ones.
    """
    numbers = itertools.count()
    together = threading.Barrier(len(executors))

    def work(executor: Executor) -> float:
        together.wait()
        began = time.perf_counter()
        done = 0.0
        while (spent := time.perf_counter() - began) < seconds or not done:
            lot = lots[next(numbers) % len(lots)]
            run_checked(executor, lot.requests)
            done += lot.typical
        return done / spent

    with ThreadPoolExecutor(len(executors)) as pool:
        return sum(pool.map(work, executors))
