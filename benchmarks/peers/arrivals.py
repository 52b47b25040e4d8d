"""Measurement of a server under arrivals at random times."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import msgspec
from benchmarks.nugraph3.speed import Moment
from benchmarks.peers.senders import Sender

from naiad.bench.load import Load, Log, drive
from naiad.bench.statistics import percentile

MOST = 800
"""Requests under way: each may have a connection, and the event loop takes 1,024 files."""
_PATIENCE = 5.0  # seconds for the last answers
_BEHIND = 0.9  # of the arrivals answered; a queue that grows by a tenth of them never ends


class Open(msgspec.Struct, frozen=True):
    """Latencies in an open loop, in seconds since a request was due.

    Attributes:
        rate: arrivals per second, on average.
        p50, p99: latencies; 0 if none was answered.
        overloaded: whether requests arrived faster than they were answered; latencies then depend
            on the time of the measurement alone.
        errors: classes of the errors of requests that failed.
    """

    rate: float
    p50: float
    p99: float
    overloaded: bool
    errors: tuple[str, ...] = ()


async def arrivals(sender: Sender, rate: float, moment: Moment, seed: int) -> Open:
    """Send ``rate`` requests per second at Poisson times, the same ones for the same ``seed``.

    It ends early, as an overload, when `MOST` requests wait.
    """
    log, stop, waiting = Log(), asyncio.Event(), 0
    crowded = False

    async def send(number: int) -> tuple[int, int]:
        nonlocal waiting, crowded
        if waiting >= MOST:
            crowded = True
            stop.set()
        if crowded:
            return 0, 0
        waiting += 1
        try:
            return await sender.send(number)
        finally:
            waiting -= 1

    load = asyncio.create_task(drive(Load("rate", rate), send, log, stop, seed))
    await _sleep(moment.lead_in, stop)
    start = log.now()
    await _sleep(moment.seconds, stop)
    end = log.now()
    behind = crowded or len(log.done_in(start, end)) < _BEHIND * log.due_in(start, end)
    stop.set()
    await asyncio.wait({load}, timeout=0.0 if behind else _PATIENCE)
    late = not load.done()
    load.cancel()
    with suppress(asyncio.CancelledError):
        await load
    errors = tuple(sorted({sample.error for sample in log.samples if sample.error}))
    latencies = [s.latency for s in log.samples if start <= s.due < end and not s.error]
    p50, p99 = (percentile(latencies, percent) if latencies else 0.0 for percent in (50, 99))
    return Open(rate, p50, p99, behind or late or not latencies, errors)


async def _sleep(seconds: float, stop: asyncio.Event) -> None:
    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
