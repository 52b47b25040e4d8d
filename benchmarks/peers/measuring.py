"""Trials and rounds: a system has its turn, is asked until it answers, and is measured."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from benchmarks.nugraph3.speed import Moment, speed
from benchmarks.peers.arrivals import arrivals
from benchmarks.peers.codec import Arrays
from benchmarks.peers.pace import Clock
from benchmarks.peers.processes import Failed, Running
from benchmarks.peers.results import Closed, Trial, Visit, best
from benchmarks.peers.senders import Sender, open_sender
from benchmarks.peers.servers import MODEL
from benchmarks.peers.stage import Stage
from benchmarks.peers.systems import NAIAD, System
from benchmarks.peers.works import find_work

from naiad.bench.measure import run
from naiad.core.pipeline import load_pipeline
from naiad.errors import NaiadError, Unavailable

_START = 180.0  # seconds
_ATTEMPTS = 3  # to start; pytriton gives a second callable 1 second, and Ray its agent 15
_LOADING = 90.0  # seconds in which it may answer with errors
_POLL = 0.1
_WARM_UP = 2  # times all requests; half of it after a pause

T = TypeVar("T")


class DidNotStart(Failed):
    """A system gave no answer at all, or did not survive a pause."""


@dataclass(frozen=True, slots=True)
class Job:
    """A work with its requests and the right answers, as every system is measured with it."""

    name: str
    model: str
    tolerance: float
    requests: Sequence[Arrays]
    expected: Sequence[Arrays]
    clients: Sequence[int]
    moment: Moment


def make_job(name: str, number: int, clients: Sequence[int], moment: Moment) -> Job:
    """Make ``number`` requests and answer them in this process, one by one."""
    work = find_work(name)
    requests, predict = work.make(number), work.load()
    expected = [predict([request])[0] for request in requests]
    model = load_pipeline(work.pipeline).name
    return Job(name, model, work.tolerance, requests, expected, clients, moment)


def try_out(job: Job, stage: Stage, system: System, python: Path) -> Iterator[Trial]:
    """Check the answers of a system with each of its waits, and measure it shortly.

    Yields:
        a trial for each wait.

    Raises:
        Failed: it does not start, or an answer is wrong.
    """
    short = Moment(job.moment.lead_in / 2, job.moment.seconds / 2)
    for wait in system.waits:

        async def measured(sender: Sender, _: int, wait: float = wait) -> Trial:
            with stage.clock.timed("checks"):
                await check(job, sender)
            with stage.clock.timed("trials"):
                closed = {n: await closed_loop(sender, n, short) for n in job.clients}
            return Trial(job.name, system.name, wait, closed)

        yield _with(job, stage, system, python, wait, measured)


def trial(job: Job, stage: Stage, system: System, python: Path) -> Trial:
    """Return the trial with the best wait, or one with the problem."""
    try:
        return best(try_out(job, stage, system, python))
    except (Failed, NaiadError, RuntimeError) as error:
        return Trial(job.name, system.name, problem=_words(error))


def visit(
    job: Job,
    stage: Stage,
    system: System,
    python: Path,
    wait: float,
    rate: float | None,
    number: int,
) -> Visit:
    """Measure a system in round ``number``, with arrivals at ``rate`` if that is not None."""

    async def measured(sender: Sender, rounds: int) -> Visit:
        with stage.clock.timed("warming up"):
            await warm_up(job, sender, rounds)
        with stage.clock.timed("closed loops"):
            closed = {n: await closed_loop(sender, n, job.moment) for n in job.clients}
        at_random = None
        if rate is not None:
            with stage.clock.timed("arrivals"):
                at_random = await arrivals(sender, rate, job.moment, seed=number)
        return Visit(job.name, system.name, number, closed, at_random)

    try:
        return _with(job, stage, system, python, wait, measured)
    except (Failed, NaiadError, RuntimeError) as error:
        return Visit(job.name, system.name, number, problem=_words(error))


async def closed_loop(sender: Sender, clients: int, moment: Moment) -> Closed:
    """Measure a number of clients, each of which waits for its answers."""
    found = await speed(sender, clients, moment)
    cores = found.generator_cpu * found.throughput
    return Closed(found.throughput, found.p50, found.p99, cores)


async def check(job: Job, sender: Sender) -> None:
    """Compare answers with those of this process: one by one, and of all requests at once.

    Raises:
        Failed: one differs by more than the work's tolerance.
    """
    every = range(len(job.requests))
    alone = [await sender.answer(number) for number in every]
    merged = await asyncio.gather(*map(sender.answer, every))
    for number, answers in enumerate(zip(job.expected, alone, merged, strict=True)):
        right, *found = answers
        for answer in found:
            if wrong := difference(right, answer, job.tolerance):
                raise Failed(f"answer {number} of {job.name} is wrong: {wrong}")


async def warm_up(job: Job, sender: Sender, rounds: int) -> None:
    """Ask every request ``rounds`` times, as many at once as there are clients at most."""
    free = asyncio.Semaphore(max(job.clients))

    async def ask(number: int) -> None:
        async with free:
            await sender.answer(number)

    await asyncio.gather(*map(ask, range(rounds * len(job.requests))))


def difference(right: Arrays, found: Arrays, tolerance: float) -> str:
    """Return the fault of an answer, or ""; it may have more arrays than the right one."""
    for name, array in right.items():
        other = found.get(name)
        if other is None or other.shape != array.shape:
            return f"{name} is {None if other is None else other.shape}, not {array.shape}"
        if array.dtype == object:
            if other.tolist() != array.tolist():
                return f"{name} is {other.tolist()}, not {array.tolist()}"
        elif not np.allclose(other, array, rtol=tolerance, atol=tolerance):
            return f"{name} differs by {np.abs(other - array.astype(np.float64)).max()}"
    return ""


def _with(
    job: Job,
    stage: Stage,
    system: System,
    python: Path,
    wait: float,
    work: Callable[[Sender, int], Awaitable[T]],
    attempts: int = _ATTEMPTS,
) -> T:
    """Do ``work`` in a system's turn; start it again if it does not start or go on.

    ``work`` gets a sender, and the number of times that all requests are to be asked as a warm-up.
    """
    try:
        with stage.turn(system, python, wait) as process:

            async def asked() -> T:
                sender = await _ready(job, stage.clock, system, process)
                try:
                    if not process.whole:
                        raise DidNotStart("some of its processes ended in a pause")
                    return await work(sender, 1 if process.resumed else _WARM_UP)
                finally:
                    await sender.close()

            return run(asked())
    except DidNotStart:
        if attempts == 1:
            raise
    return _with(job, stage, system, python, wait, work, attempts - 1)


async def _ready(job: Job, clock: Clock, system: System, process: Running) -> Sender:
    """Wait until a system answers; return its sender."""
    with clock.timed("resumed" if process.resumed else "started"):
        return await _answering(job, system, process)


async def _answering(job: Job, system: System, process: Running) -> Sender:
    model = job.model if system.name == NAIAD else MODEL
    until, refused = time.monotonic() + _START, 0.0
    while True:
        sender = open_sender(system, process.options.port, model, job.requests)
        try:
            await sender.answer(0)
        except NaiadError as error:
            await sender.close()
            now = time.monotonic()
            if process.ended or now > until:
                raise DidNotStart(f"did not start: {error}; {process.last_words()}") from None
            if not isinstance(error, Unavailable):  # it listens, and may still load the network
                refused = refused or now
                if now > refused + _LOADING:
                    kind = DidNotStart if process.resumed else Failed
                    raise kind(f"{error}; {process.last_words()}") from None
            await asyncio.sleep(_POLL)
        else:
            return sender


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
