"""One load applied to a served model for as long as it takes, and many one after the other."""

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

_CLIENTS = 8  # whose closed loop says where to begin a search
_SATURATED = 0.8  # of a core: beyond, the generator waits for itself
_LATE = 0.2  # of the median latency

T = TypeVar("T")


class CountersReader(Protocol):
    """Where the server's counters are."""

    async def read(self) -> Counters | None:
        """The counters now; None where there are none."""
        ...


@dataclass(frozen=True, slots=True)
class Level:
    """What was measured at one load.

    Attributes:
        load: the load.
        verdict: how the measurement ended.
        windows: how many windows it took; throughput and latency are those of the last ones.
        throughput: requests answered per second.
        latency: of the requests due in these windows and answered at all, from when they were due.
        requests: how many were sent, from the first window to the last answer.
        errors: how many of those ended with an error, by its class.
        sent_bytes: mean bytes of a request's tensors.
        received_bytes: mean bytes of an answer's tensors.
        lateness: 99th percentile of the seconds by which requests were sent too late.
        generator_cpu: cores that the generator itself used, in all its threads.
        client: seconds of CPU that it used per request.
        server: what the server says of the same requests; None where it does not.
        notes: what a reader of these numbers must know.
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
        """Where the seconds of a request go; None where the server does not tell.

        ``client`` is the generator's own work. ``transport`` is all that is left: the network, the
        handling by Triton, the way to the worker process and back, and waiting for any of them.
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
    """Apply ``load`` until ``rule`` is content, and wait for every answer.

    ``seed`` is that of the arrivals of an open loop. What ``meter`` reads at first must not miss
    anything that was answered before.
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
            "the generator does not get the CPU it needs"
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
    # A request that fails on its way is counted here and not there.
    others = found.requests - len(samples)
    if others > 0.02 * len(samples):
        return found, [f"{others:,} requests of other clients are in the server's numbers"]
    return found, []


async def find_highest_rate(
    measured: Callable[[Load], Awaitable[Level]], p99: float
) -> float | None:
    """The highest rate of arrivals, per second, that keeps the 99th percentile at ``p99`` seconds.

    A rate passes when its measurement is stable, without errors, and within the bound. The search
    begins below what a closed loop reaches.

    Raises:
        PipelineError: that closed loop got no answer.
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
    """Run ``work`` in an event loop fit for measuring.

    Its timers are those of ``select``, exact to microseconds, where ``epoll`` rounds up to
    milliseconds; and the garbage collector passes over all that is there already.
    """
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    try:
        with _frozen_garbage():
            return loop.run_until_complete(work)
    finally:
        # Where Ctrl-C came between, tasks are left.
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
