"""Load generation: clients that wait for their answers, or arrivals at a given rate."""

from __future__ import annotations

import asyncio
import itertools
import time
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from naiad.errors import NaiadError

_PAUSE = 0.01  # seconds that a client waits after an error, to spare a dead server

Send: TypeAlias = Callable[[int], Awaitable[tuple[int, int]]]
"""Sends the request of this number and returns the bytes (sent, received)."""


@dataclass(frozen=True, slots=True)
class Load:
    """A load on a server.

    ``concurrency``: a closed loop of ``value`` clients, each with one request under way.
    ``rate``: an open loop of ``value`` requests per second at random (Poisson) times.
    """

    kind: Literal["concurrency", "rate"]
    value: float

    def __str__(self) -> str:
        """Describe the load in words."""
        if self.kind == "rate":
            return f"{self.value:.4g}/s"
        return f"{self.value:g} client{'' if self.value == 1 else 's'}"


@dataclass(frozen=True, slots=True)
class Sample:
    """One request: its times, in seconds since the load began, its bytes, and its error's class.

    ``due`` is the time it should have been sent; in a closed loop, the time it was.
    """

    due: float
    sent: float
    done: float
    sent_bytes: int
    received_bytes: int
    error: str = ""

    @property
    def latency(self) -> float:
        """Seconds since it was due: this includes delays of a held-up generator."""
        return self.done - self.due


class Log:
    """A log of requests and their outcomes."""

    def __init__(self) -> None:
        """Start the clock."""
        self._began = time.perf_counter()
        self.due: list[float] = []
        """Due times of all requests, in order."""
        self.samples: list[Sample] = []
        """Finished requests, in the order in which they finished."""

    def now(self) -> float:
        """Return the seconds since the load began."""
        return time.perf_counter() - self._began

    def due_in(self, start: float, end: float) -> int:
        """Count the requests that were due from ``start`` to just before ``end``."""
        return bisect_left(self.due, end) - bisect_left(self.due, start)

    def done_in(self, start: float, end: float) -> list[Sample]:
        """Return the requests that finished from ``start`` to just before ``end``."""
        first, last = (bisect_left(self.samples, at, key=lambda s: s.done) for at in (start, end))
        return self.samples[first:last]

    async def ask(self, send: Send, number: int, due: float) -> bool:
        """Send a request and log its outcome; return whether it was answered."""
        self.due.append(due)
        sent = self.now()
        try:
            sizes = await send(number)
        except NaiadError as error:
            self.samples.append(Sample(due, sent, self.now(), 0, 0, type(error).__name__))
            return False
        self.samples.append(Sample(due, sent, self.now(), *sizes))
        return True


def poisson(rate: float, seed: int) -> Iterator[float]:
    """Yield random times, in seconds, at which ``rate`` requests per second arrive independently.

    Gaps of a Poisson process are exponential; the same seed gives the same times.
    """
    rng = np.random.default_rng(seed)
    at = 0.0
    while True:
        for gap in rng.exponential(1 / rate, 1024).tolist():
            at += gap
            yield at


async def drive(load: Load, send: Send, log: Log, stop: asyncio.Event, seed: int) -> None:
    """Apply ``load`` until ``stop``; return when every request sent is answered."""
    if load.kind == "rate":
        await _open_loop(load.value, send, log, stop, seed)
    else:
        await _closed_loop(int(load.value), send, log, stop)


async def _closed_loop(clients: int, send: Send, log: Log, stop: asyncio.Event) -> None:
    numbers = itertools.count()

    async def client() -> None:
        while not stop.is_set():
            if not await log.ask(send, next(numbers), log.now()):
                await asyncio.sleep(_PAUSE)

    await asyncio.gather(*(client() for _ in range(clients)))


async def _open_loop(rate: float, send: Send, log: Log, stop: asyncio.Event, seed: int) -> None:
    waiting: set[asyncio.Task[bool]] = set()
    for number, due in enumerate(poisson(rate, seed)):
        await asyncio.sleep(max(0.0, due - log.now()))
        if stop.is_set():
            break
        task = asyncio.create_task(log.ask(send, number, due))
        waiting.add(task)
        task.add_done_callback(waiting.discard)
    await asyncio.gather(*waiting)
