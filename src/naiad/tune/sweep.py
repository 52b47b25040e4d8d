"""Throughput by batch size: the same requests, grouped by one candidate budget after another.

All candidates run the same requests, so their times compare without a model of a request's cost.
Candidates alternate, each round in the opposite order, and medians are taken, so that other load on
the machine affects them all alike.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

from naiad.core.budget import Budget, group
from naiad.core.pipeline import Request
from naiad.core.schema import REQUESTS
from naiad.errors import InvalidInput, PipelineError
from naiad.tune.worker import Run, Worker
from naiad.tune.workload import Workload, cut, total_sizes

_LARGEST = 256  # mean requests per batch, at most
_FEWEST = 16  # requests per round
_MIN_ROUNDS = 5
_LOSING = 0.7  # of the best throughput; after two such batches, no larger ones are tried


@dataclass(slots=True)
class Lot:
    """Requests that are run as one batch, and their times.

    Attributes:
        requests: of the batch.
        sizes: rows of the batch by dimension.
        seconds: of all stages together, each time.
        stages: seconds of each stage, each time.
    """

    requests: tuple[Request, ...]
    sizes: dict[str, int]
    seconds: list[float] = field(default_factory=list[float])
    stages: list[dict[str, float]] = field(default_factory=list[dict[str, float]])

    @property
    def typical(self) -> float:
        """Median seconds."""
        return median(self.seconds)

    def stage(self, name: str) -> float:
        """Return the median seconds of a stage."""
        return median(stages[name] for stages in self.stages)


@dataclass(slots=True)
class Candidate:
    """A budget that was tried.

    Attributes:
        batch: number of mean requests in it.
        budget: sizes by dimension.
        lots: all requests, grouped by it.
    """

    batch: int
    budget: Budget
    lots: list[Lot]

    @property
    def throughput(self) -> float:
        """Requests per second."""
        return sum(len(lot.requests) for lot in self.lots) / sum(lot.typical for lot in self.lots)

    @property
    def batch_seconds(self) -> float:
        """Median seconds of a batch."""
        return median(lot.typical for lot in self.lots)


def sweep(
    worker: Worker,
    workload: Workload,
    seconds: float,
    on_progress: Callable[[str, float], None] = lambda text, share: None,
) -> list[Candidate]:
    """Measure candidates, from one request per batch up to where throughput drops.

    ``on_progress`` is called with the current step and the share of ``seconds`` that is over.

    Raises:
        InvalidInput: every request was refused.
        PipelineError: a hook raised, or a worker died; says which.
    """
    began = time.perf_counter()
    accepted = _warm_up(worker, workload.requests, 0.1 * seconds)
    single = _seconds_alone(worker, accepted[:16])
    # A round tries about seven candidates, and there are enough rounds for a median.
    count = int(seconds / (_MIN_ROUNDS + 1) / 7 / max(single, 1e-6))
    requests = cut(accepted, max(_FEWEST, min(_LARGEST, count)))
    candidates: list[Candidate] = []
    for exponent in range(int(math.log2(len(requests))) + 1):
        candidate = _candidate(workload, 2**exponent, requests)
        on_progress(f"batches of about {candidate.batch}", 0.1)
        _measure(worker, candidate)  # warm-up: buffers grow to the size of the batch
        candidates.append(candidate)
        best = max(tried.throughput for tried in candidates)
        if all(tried.throughput < _LOSING * best for tried in candidates[-2:]):
            break
        if time.perf_counter() - began > 2 * seconds:
            break  # far slower than expected from single requests
    for candidate in candidates:
        _forget(candidate)
    order = list(candidates)
    rounds = 0
    while rounds < _MIN_ROUNDS or time.perf_counter() - began < seconds:
        for candidate in order:
            share = min(1.0, (time.perf_counter() - began) / seconds)
            on_progress(f"round {rounds + 1}: batches of about {candidate.batch}", share)
            _measure(worker, candidate)
        order.reverse()
        rounds += 1
        if time.perf_counter() - began > 3 * seconds:
            break
    return candidates


def checked(run: Run) -> Run:
    """Return the run.

    Raises:
        PipelineError: one of its requests failed.
    """
    if run.error is not None:
        raise PipelineError(f"a request that succeeds alone fails in a batch: {run.error}")
    return run


def _seconds_alone(worker: Worker, requests: Sequence[Request]) -> float:
    """Return the mean seconds of a request run alone, with its way to the worker."""
    began = time.perf_counter()
    for request in requests:
        worker.run((request,))
    return (time.perf_counter() - began) / len(requests)


def _warm_up(worker: Worker, requests: Sequence[Request], seconds: float) -> tuple[Request, ...]:
    """Return the requests that are not refused; try all of them if time allows."""
    accepted: list[Request] = []
    refused: InvalidInput | None = None
    began = time.perf_counter()
    for request in requests:
        error = worker.run((request,)).error
        if isinstance(error, InvalidInput):
            refused = error
        elif error is not None:
            raise error
        else:
            accepted.append(request)
        if len(accepted) >= _FEWEST and time.perf_counter() - began > seconds:
            break
    if not accepted:
        raise InvalidInput(
            f"every request is refused, the last because {refused}. Give others with --data"
        )
    return tuple(accepted)


def _candidate(workload: Workload, batch: int, requests: Sequence[Request]) -> Candidate:
    budget = scaled_budget(workload, batch)
    sizes = [total_sizes([request]) for request in requests]
    bound = Budget(requests=1) if batch == 1 else budget
    lots: list[Lot] = []
    for numbers in group(bound, sizes):
        members = tuple(requests[n] for n in numbers)
        lots.append(Lot(members, total_sizes(members)))
    return Candidate(batch, budget, lots)


def scaled_budget(workload: Workload, batch: int) -> Budget:
    """Return a budget for ``batch`` mean requests; of their number only if they have no sizes."""
    mean = workload.mean_sizes()
    sizes = {
        dim: math.ceil(batch * size) for dim, size in mean.items() if dim != REQUESTS and size > 0
    }
    return Budget(**(sizes or {REQUESTS: batch}))


def _measure(worker: Worker, candidate: Candidate) -> None:
    for lot in candidate.lots:
        run = checked(worker.run(lot.requests))
        lot.seconds.append(run.seconds)
        lot.stages.append(run.stages)


def _forget(candidate: Candidate) -> None:
    for lot in candidate.lots:
        lot.seconds.clear()
        lot.stages.clear()
