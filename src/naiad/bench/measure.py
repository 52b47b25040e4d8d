"""Measurement of a served model under one load, and a search for the highest rate."""

from __future__ import annotations

import asyncio
import gc
import selectors
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from naiad.bench.load import Load, Log, Sample, Send, drive
from naiad.bench.search import highest
from naiad.bench.stages import SETTLE, Counters, Share, share
from naiad.bench.statistics import Latency, percentile
from naiad.bench.windows import Rule, Verdict, Window, cut
from naiad.errors import PipelineError

_CLIENTS = 8  # in the closed loop from which a search starts
_SATURATED = 0.8  # of a core; beyond this, the generator itself is the bottleneck
_LATE = 0.2  # of the median latency

T = TypeVar("T")


class CountersReader(Protocol):
    """A reader of the server's counters."""

    async def read(self) -> Counters | None:
        """Return the current counters, or None if there are none."""
        ...


@dataclass(frozen=True, slots=True)
class Level:
    """The measurement at one load.

    Attributes:
        load: the load.
        verdict: outcome of the measurement.
        windows: number of windows; throughput and latency are those of the last ones.
        throughput: requests answered per second.
        latency: of answered requests due in these windows, since they were due.
        requests: number of requests sent, from the first window to the last answer.
        errors: number of those that failed, by class of error.
        sent_bytes: mean bytes of a request's tensors.
        received_bytes: mean bytes of an answer's tensors.
        lateness: 99th percentile of the seconds by which requests were sent too late.
        generator_cpu: cores used by the generator, in all its threads.
        client: CPU seconds used by the generator per request.
        server: the server's metrics of the same requests, if it has any.
        notes: caveats for readers of these numbers.
    """

    load: Load
    verdict: Verdict
    windows: int
    throughput: float
    latency: Latency | None
    requests: int
    errors: dict[str, int]
    sent_bytes: float
    received_bytes: float
    lateness: float
    generator_cpu: float
    client: float
    server: Share | None
    notes: tuple[str, ...]

    def parts(self) -> dict[str, float] | None:
        """Return the seconds of a request by part; None without metrics of the server.

        ``client`` is the generator's own work. ``transport`` is the rest: the network, Triton, the
        way to the worker process and back, and waiting for any of them.
        """
        if self.server is None:
            return None
        return {
            "client": self.client,
            "transport": self.server.outside - self.client,
            **self.server.waits,
        }


async def measure(
    load: Load, send: Send, rule: Rule, *, meter: CountersReader | None = None, seed: int = 0
) -> Level:
    """Apply ``load`` until ``rule`` has a verdict, and wait for every answer.

    ``seed`` is for the arrivals of an open loop. Before the call, ``meter`` must count everything
    that has been answered.
    """
    before = await meter.read() if meter is not None else None
    log, stop, windows = Log(), asyncio.Event(), list[Window]()
    moments, cpu = [0.0], time.process_time()
    driver = asyncio.create_task(drive(load, send, log, stop, seed))
    verdict: Verdict | None = None
    try:
        while verdict is None and not driver.done():
            await asyncio.wait({driver}, timeout=moments[-1] + rule.seconds - log.now())
            moments.append(log.now())
            windows.append(cut(log, moments[-2], moments[-1]))
            verdict = rule.verdict(windows, load)
        generator_cpu = (time.process_time() - cpu) / moments[-1]
        client = generator_cpu * moments[-1] / max(1, len(log.samples))
        stop.set()
        await driver
    finally:
        driver.cancel()
    after = None
    if meter is not None:
        await asyncio.sleep(SETTLE)
        after = await meter.read()
    last = windows[-rule.agreeing :]
    start = moments[-1 - len(last)]
    return _level(
        load,
        verdict or "not stable",
        len(windows),
        throughput=sum(w.answered for w in last) / (moments[-1] - start),
        believed=[s for s in log.samples if start <= s.due < moments[-1] and not s.error],
        samples=log.samples,
        generator_cpu=generator_cpu,
        client=client,
        counts=(before, after),
    )


def _level(
    load: Load,
    verdict: Verdict,
    windows: int,
    *,
    throughput: float,
    believed: list[Sample],
    samples: list[Sample],
    generator_cpu: float,
    client: float,
    counts: tuple[Counters | None, Counters | None],
) -> Level:
    answered = [sample for sample in samples if not sample.error]
    latency = Latency.of([sample.latency for sample in believed])
    late = [sample.sent - sample.due for sample in samples]
    median_lateness = percentile(late, 50) if late else 0.0
    server, notes = _server_share(counts, samples)
    lateness = percentile(late, 99) if late else 0.0
    if generator_cpu >= _SATURATED:
        notes.append(
            f"the load generator used {100 * generator_cpu:.0f} % of a core: "
            "its own speed limits what it measures"
        )
    elif late and median_lateness > _LATE * percentile([s.latency for s in samples], 50):
        notes.append(
            f"half of the requests were sent more than {1e3 * median_lateness:.1f} ms late: "
            "the generator does not get enough CPU"
        )
    if verdict != "stable":
        notes.append(_REASONS[verdict])
    return Level(
        load=load,
        verdict=verdict,
        windows=windows,
        throughput=throughput,
        latency=latency,
        requests=len(samples),
        errors=dict(Counter(sample.error for sample in samples if sample.error)),
        sent_bytes=_mean(sample.sent_bytes for sample in answered),
        received_bytes=_mean(sample.received_bytes for sample in answered),
        lateness=lateness,
        generator_cpu=generator_cpu,
        client=client,
        server=server,
        notes=tuple(notes),
    )


_REASONS = {
    "not stable": "not stable: the last windows differ by more than 10 % from their mean",
    "overloaded": "overloaded: requests arrived faster than they were answered",
    "failing": "given up: no request of a whole window was answered",
}


def _server_share(
    counts: tuple[Counters | None, Counters | None], samples: list[Sample]
) -> tuple[Share | None, list[str]]:
    before, after = counts
    if after is None:
        return None, []
    # A model that has not run yet has no counters.
    nothing = Counters(0, 0, {}, {})
    found = share(before or nothing, after, _mean(sample.latency for sample in samples))
    if found is None:
        return None, ["the server's metrics count no batch of these requests"]
    # A request that fails in transit is counted here, but not there.
    others = found.requests - len(samples)
    if others > 0.02 * len(samples):
        return found, [f"the server's numbers include {others:,} requests of other clients"]
    return found, []


async def find_highest_rate(
    measured: Callable[[Load], Awaitable[Level]], p99: float
) -> float | None:
    """Return the highest rate per second that keeps the 99th percentile within ``p99`` seconds.

    A rate passes if its measurement is stable, without errors, and within the bound. The search
    starts just below the throughput of a closed loop.

    Raises:
        PipelineError: the closed loop got no answer.
    """

    async def passes(rate: float) -> bool:
        level = await measured(Load("rate", rate))
        return (
            level.verdict == "stable"
            and not level.errors
            and level.latency is not None
            and level.latency.p99 <= p99
        )

    closed = await measured(Load("concurrency", _CLIENTS))
    if not closed.throughput:
        raise PipelineError(f"no request was answered with {_CLIENTS} clients: {closed.errors}")
    return await highest(passes, 0.8 * closed.throughput)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run ``work`` in an event loop suited to measurements.

    It uses ``select``, whose timers are exact to microseconds; ``epoll`` rounds up to milliseconds.
    The garbage collector ignores all existing objects.
    """
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    try:
        with _frozen_garbage():
            return loop.run_until_complete(work)
    finally:
        # After Ctrl-C, tasks are left.
        if left := asyncio.all_tasks(loop):
            for task in left:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


@contextmanager
def _frozen_garbage() -> Generator[None]:
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found) if found else 0.0
