"""Throughput against batch size: the same requests, grouped by one candidate budget after another.

Every candidate runs the same requests, so their times compare without a model of what a request
costs. Candidates alternate, each round in the opposite order, and medians are taken: what else the
machine does in the meantime hits all of them alike.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

from naiad.batching import Budget, group
from naiad.errors import InvalidInput, NaiadError, PipelineError
from naiad.pipeline import Request
from naiad.runtime.executor import Executor, WorkerLost
from naiad.runtime.runner import STAGES, Outcome
from naiad.schema import REQUESTS
from naiad.tune.workload import Workload, cut, total_sizes

TRANSPORT = "transport"
"""The part of a batch's time that is in no stage: to the worker and back."""
_LARGEST = 256  # mean requests per batch beyond which nothing is tried
_FEWEST = 16  # requests per round
_MIN_ROUNDS = 5
_LOSING = 0.7  # of the best throughput; after two such batches no larger ones are tried


@dataclass(slots=True)
class Lot:
    """Requests that are run as one batch, and what that took, each time.

    Attributes:
        requests: what is run.
        sizes: its rows by dimension.
        seconds: the whole, each time.
        stages: seconds of each stage, each time; ``transport`` is all that is in none.
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
        """Median seconds of a stage."""
        return median(stages[name] for stages in self.stages)


@dataclass(slots=True)
class Candidate:
    """A budget that was tried.

    Attributes:
        batch: how many mean requests it holds.
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
    executor: Executor,
    workload: Workload,
    seconds: float,
    on_progress: Callable[[str, float], None] = lambda text, share: None,
) -> list[Candidate]:
    """Measure candidates from one request per batch up to where larger batches lose.

    ``on_progress`` is told what is done and which share of ``seconds`` is over.

    Raises:
        InvalidInput: every request was refused.
        PipelineError: a hook raised, or a worker died; says which.
    """
    began = time.perf_counter()
    accepted = _warm_up(executor, workload.requests, 0.1 * seconds)
    single = median(_run(executor, (request,))[0] for request in accepted[:16])
    # A round tries about seven candidates, and rounds are many enough for a median.
    count = int(seconds / (_MIN_ROUNDS + 1) / 7 / max(single, 1e-6))
    requests = cut(accepted, max(_FEWEST, min(_LARGEST, count)))
    candidates: list[Candidate] = []
    for exponent in range(int(math.log2(len(requests))) + 1):
        candidate = _candidate(workload, 2**exponent, requests)
        on_progress(f"batches of about {candidate.batch}", 0.1)
        _measure(executor, candidate)  # warm-up: buffers grow to the size of the batch
        candidates.append(candidate)
        best = max(tried.throughput for tried in candidates)
        if all(tried.throughput < _LOSING * best for tried in candidates[-2:]):
            break
        if time.perf_counter() - began > 2 * seconds:
            break  # far slower than single requests promised
    for candidate in candidates:
        _forget(candidate)
    order = list(candidates)
    rounds = 0
    while rounds < _MIN_ROUNDS or time.perf_counter() - began < seconds:
        for candidate in order:
            share = min(1.0, (time.perf_counter() - began) / seconds)
            on_progress(f"round {rounds + 1}: batches of about {candidate.batch}", share)
            _measure(executor, candidate)
        order.reverse()
        rounds += 1
        if time.perf_counter() - began > 3 * seconds:
            break
    return candidates


def run_checked(executor: Executor, requests: Sequence[Request]) -> tuple[float, dict[str, float]]:
    """Run a batch; return its seconds, and those per stage.

    Raises:
        PipelineError: a request was answered with an error, or the worker died.
    """
    seconds, outcomes, stages = _run(executor, requests)
    for outcome in outcomes:
        if isinstance(outcome, NaiadError):
            raise PipelineError(f"a request that is answered alone fails in a batch: {outcome}")
    return seconds, stages


def _run(
    executor: Executor, requests: Sequence[Request]
) -> tuple[float, list[Outcome], dict[str, float]]:
    began = time.perf_counter()
    try:
        report = executor.run(requests)
    except WorkerLost as lost:
        raise PipelineError(f"while it was measured, {lost}") from None
    seconds = time.perf_counter() - began
    # A report counts the seconds of every request.
    stages = {stage: report.seconds[stage] / len(requests) for stage in STAGES}
    stages[TRANSPORT] = max(0.0, seconds - sum(stages.values()))
    return seconds, report.outcomes, stages


def _warm_up(
    executor: Executor, requests: Sequence[Request], seconds: float
) -> tuple[Request, ...]:
    """Those of the requests that are answered and not refused; all of them are asked, if quick."""
    accepted: list[Request] = []
    refused: InvalidInput | None = None
    began = time.perf_counter()
    for request in requests:
        _, (outcome,), _ = _run(executor, (request,))
        if isinstance(outcome, InvalidInput):
            refused = outcome
        elif isinstance(outcome, NaiadError):
            raise outcome
        else:
            accepted.append(request)
        if len(accepted) >= _FEWEST and time.perf_counter() - began > seconds:
            break
    if not accepted:
        raise InvalidInput(
            f"every request is refused; the last: {refused}. Give others with --data"
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
    """A budget that holds so many mean requests; the count itself only where nothing else is."""
    mean = workload.mean_sizes()
    sizes = {
        dim: math.ceil(batch * size) for dim, size in mean.items() if dim != REQUESTS and size > 0
    }
    return Budget(**(sizes or {REQUESTS: batch}))


def _measure(executor: Executor, candidate: Candidate) -> None:
    for lot in candidate.lots:
        seconds, stages = run_checked(executor, lot.requests)
        lot.seconds.append(seconds)
        lot.stages.append(stages)


def _forget(candidate: Candidate) -> None:
    for lot in candidate.lots:
        lot.seconds.clear()
        lot.stages.clear()
