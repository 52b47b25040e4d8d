"""Measurement of a server under a closed loop."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Protocol

import psutil

from naiad.bench.load import Load, Log, drive
from naiad.bench.statistics import percentile
from naiad.bench.windows import cut

_FEWEST = 1  # answers per client
_PATIENCE = 30.0  # seconds


@dataclass(frozen=True, slots=True)
class Speed:
    """Speed in a closed loop.

    Attributes:
        throughput: answers per second.
        p50, p99: latencies, in seconds.
        answered: number of answered requests.
        server_cpu: CPU seconds per answer, of all of the server's processes; on shared cores it
            varies much less than time. NaN if not measured.
        generator_cpu: CPU seconds per answer, of the load generator.
    """

    throughput: float
    p50: float
    p99: float
    answered: int
    server_cpu: float
    generator_cpu: float


@dataclass(frozen=True, slots=True)
class Moment:
    """Seconds of a measurement: ``lead_in`` seconds do not count."""

    lead_in: float
    seconds: float


class Sender(Protocol):
    """Sender of numbered requests, such as :class:`naiad.bench.target.Target`."""

    async def send(self, number: int) -> tuple[int, int]:
        """Send a request and wait for its answer; return the bytes of both."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


async def speed(
    target: Sender, clients: int, moment: Moment, *, server: int | None = None
) -> Speed:
    """Measure ``target`` with a number of clients, each of which waits for its answers.

    ``server`` is the process whose CPU time is counted, with that of its descendants.

    A very slow side gets longer, until it has answered as often as there are clients.

    Raises:
        RuntimeError: a request failed, or hardly any was answered: no ratio would be meaningful.
    """
    log, stop = Log(), asyncio.Event()
    load = asyncio.create_task(drive(Load("concurrency", clients), target.send, log, stop, seed=0))
    await asyncio.sleep(moment.lead_in)
    start, own, theirs = log.now(), time.process_time(), _cpu(server)
    latest = start + moment.seconds + _PATIENCE
    await asyncio.sleep(moment.seconds)
    while len(log.done_in(start, log.now())) < _FEWEST * clients and log.now() < latest:
        await asyncio.sleep(0.05)
    end, own, theirs = log.now(), time.process_time() - own, _cpu(server) - theirs
    stop.set()
    await load
    window = cut(log, start, end)
    latencies = [s.latency for s in log.samples if start <= s.due < end and not s.error]
    failed = {sample.error for sample in log.samples if sample.error}
    if failed or not latencies or not window.answered:
        raise RuntimeError(f"{window.answered} requests were answered; errors: {failed or 'none'}")
    return Speed(
        throughput=window.answered / window.seconds,
        p50=percentile(latencies, 50),
        p99=percentile(latencies, 99),
        answered=window.answered,
        server_cpu=theirs / window.answered,
        generator_cpu=own / window.answered,
    )


def _cpu(pid: int | None) -> float:
    """Return the CPU seconds of a process and all its living descendants."""
    if pid is None:
        return float("nan")
    root = psutil.Process(pid)
    times = (process.cpu_times() for process in (root, *root.children(recursive=True)))
    return sum(spent.user + spent.system for spent in times)
