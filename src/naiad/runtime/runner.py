"""Execution of requests by a pipeline's hooks, in merged batches with separate errors."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, TypeVar

from naiad.core.budget import Budget, add_sizes, group
from naiad.core.merging import Batch, collate, signature, split
from naiad.core.pipeline import Pipeline, Request
from naiad.core.schema import REQUESTS, Array, Arrays
from naiad.error_text import described, sendable
from naiad.errors import NaiadError, PipelineError
from naiad.runtime.memory_backoff import MemoryBackoff, ran_out_of_memory
from naiad.runtime.results import as_mapping, as_numpy, check_bytes, check_merged, check_outputs

Outcome: TypeAlias = "dict[str, Array] | NaiadError"
"""Outputs of one request, or the error that answers it."""

Prepared: TypeAlias = "tuple[Arrays, dict[str, int]] | NaiadError"
"""Result of ``prepare`` for one request and its sizes, or the error that answers it."""

STAGES = ("prepare", "collate", "forward", "split", "finish")

T = TypeVar("T")
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Report:
    """Outcomes and timings of a list of requests.

    Attributes:
        outcomes: one per request, in order.
        seconds: time that the requests spent per stage; they are answered together, so each counts
            all of it, whichever batch it was in.
        batches: rows by dimension of each merged batch that was run.
        merged: the outputs of all requests, if the native backend splits them; ``outcomes`` then
            only gives the number of requests.
        spans: when each stage first began and last ended, by :func:`time.perf_counter`.
    """

    outcomes: list[Outcome]
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    batches: list[dict[str, int]] = field(default_factory=list[dict[str, int]])
    merged: dict[str, Array] | None = None
    spans: dict[str, tuple[float, float]] = field(default_factory=dict[str, "tuple[float, float]"])


@dataclass(slots=True)
class _Sample:
    number: int
    arrays: Arrays
    sizes: dict[str, int]


class Runner:
    """A pipeline, set up on one device, that answers lists of requests.

    Prepared samples are run as soon as the next one does not fit the budget with them.

    One bad request never fails its neighbours: if a merged forward raises, the batch is halved
    until the faulty request is alone, at two forwards per halving instead of one per request. If
    memory runs out, this batch and later ones are cut to half the size.
    """

    def __init__(
        self, pipeline: Pipeline, device: str = "cpu", *, budget: Budget | None = None
    ) -> None:
        """Call ``pipeline.setup(device)``; ``budget`` replaces the pipeline's own."""
        pipeline.device = device
        pipeline.setup(device)
        self.pipeline = pipeline
        self.device = device
        contract = pipeline.contract()
        self.contract = contract if budget is None else replace(contract, budget=budget)
        """Schema and limits of requests."""
        self._backoff = MemoryBackoff(self.contract.budget)
        if pipeline.merges is False:
            self.run_alone()
        kind = type(pipeline)
        self._as_given = kind.prepare is Pipeline.prepare and kind.sample == kind.inputs

    def run_alone(self) -> None:
        """Merge no requests from now on."""
        self.contract = replace(self.contract, budget=Budget(requests=1))
        self._backoff = MemoryBackoff(self.contract.budget)

    def run(self, requests: Sequence[Request]) -> Report:
        """Answer every request, with outputs or an error."""
        report = Report([PipelineError("this request was not run")] * len(requests))
        samples: list[_Sample] = []
        used: dict[str, int] = {}
        for number, request in enumerate(requests):
            with _timed(report, "prepare"):
                made = self.prepare(request)
            if isinstance(made, NaiadError):
                report.outcomes[number] = made
                continue
            sample = _Sample(number, *made)
            if not self.budget.holds(used, sample.sizes):
                self._run_samples(samples, report)
                samples, used = [], {}
            samples.append(sample)
            add_sizes(used, sample.sizes)
        self._run_samples(samples, report)
        return report

    def prepare(self, request: Request) -> Prepared:
        """Call the hook for one request; may run concurrently with :meth:`run_prepared`."""
        return self._guard("prepare", lambda: self._prepare(request))

    def run_prepared(self, prepared: Sequence[Prepared]) -> Report:
        """Answer prepared requests."""
        unrun = PipelineError("this request was not run")
        report = Report([made if isinstance(made, NaiadError) else unrun for made in prepared])
        samples = [
            _Sample(number, *made)
            for number, made in enumerate(prepared)
            if not isinstance(made, NaiadError)
        ]
        self._run_samples(samples, report)
        return report

    @property
    def budget(self) -> Budget:
        """Current limit of a batch, after running out of memory."""
        return self._backoff.budget

    def _run_samples(self, samples: list[_Sample], report: Report) -> None:
        for batch in [samples] if len(samples) == 1 else self._groups(samples):
            self._run_batch(batch, report)

    def _prepare(self, request: Request) -> tuple[Arrays, dict[str, int]]:
        if self._as_given and request.sizes:  # it was checked when it was read
            return request.arrays, dict(request.sizes)
        sample = as_mapping(self.pipeline.prepare(request), "prepare")
        return sample, check_outputs(self.pipeline.sample, sample, "prepare()")

    def _groups(self, samples: list[_Sample]) -> Iterator[list[_Sample]]:
        schema = self.pipeline.sample
        alike: dict[Any, list[_Sample]] = {}
        for sample in samples:
            alike.setdefault(signature(schema, sample.arrays, sample.sizes), []).append(sample)
        for same in alike.values():
            yield from self._cut(same)

    def _cut(self, samples: list[_Sample]) -> Iterator[list[_Sample]]:
        for numbers in group(self.budget, [s.sizes for s in samples]):
            yield [samples[n] for n in numbers]

    def _run_batch(self, samples: list[_Sample], report: Report) -> None:
        starved = False
        try:
            shares = self._forward(samples, report)
        except BaseException as error:
            # Keep only the error's text: its traceback would keep the memory alive.
            shares = self._failure("forward", error)
            starved = ran_out_of_memory(error)
        if isinstance(shares, NaiadError):
            if len(samples) == 1:
                report.outcomes[samples[0].number] = shares
                return
            if starved:
                self._backoff.ran_out(_totals(samples))
                parts = list(self._cut(samples))
            else:
                half = len(samples) // 2
                parts = [samples[:half], samples[half:]]
            for part in parts:
                self._run_batch(part, report)
            return
        self._backoff.ran()
        for sample, outcome in zip(samples, self.finish(shares, report), strict=True):
            report.outcomes[sample.number] = outcome

    def _forward(self, samples: list[_Sample], report: Report) -> list[dict[str, Array]]:
        with _timed(report, "collate"):
            arrays, sizes = [s.arrays for s in samples], [s.sizes for s in samples]
            batch = collate(self.pipeline.sample, arrays, sizes)
        return self.shares(batch, report)

    def shares(self, batch: Batch, report: Report) -> list[dict[str, Array]]:
        """Run ``forward`` on a merged batch; return each request's share, raise what it raises."""
        arrays = self.evaluate(batch, report)
        with _timed(report, "split"):
            sizes = {dim: batch.sizes(dim) for dim in batch.totals()}
            shares = split(self.pipeline.result, arrays, sizes, batch.requests)
        report.batches.append(batch.totals())
        return shares

    def finish(self, shares: Sequence[Arrays], report: Report) -> list[Outcome]:
        """Call the hook for each request's share."""
        with _timed(report, "finish"):
            return [self._guard("finish", lambda s=share: self._finish(s)) for share in shares]

    def allows(self, totals: Mapping[str, int]) -> bool:
        """Return True if a batch of these sizes fits the current budget."""
        return totals[REQUESTS] == 1 or self.budget.holds({}, totals)

    def evaluate(self, batch: Batch, report: Report) -> dict[str, Array]:
        """Run ``forward`` on a merged batch; return the merged results, raise what it raises."""
        pipeline = self.pipeline
        with _timed(report, "collate"):
            given = batch.torch(self.device) if pipeline.arrays == "torch" else batch
        with _timed(report, "forward"), _inference_mode(pipeline):
            result = as_mapping(pipeline.forward(given), "forward")
            arrays = {name: as_numpy(name, value) for name, value in result.items()}
        if unknown := arrays.keys() - pipeline.result.keys():
            names = ", ".join(sorted(map(str, unknown)))
            raise PipelineError(f"forward() returned {names}, not declared in result")
        for name, tensor in pipeline.result.items():
            if name in arrays:
                check_merged(name, tensor, arrays[name])
            elif not tensor.optional:
                raise PipelineError(f"forward() returned no {name}")
        return arrays

    def _finish(self, share: Arrays) -> dict[str, Array]:
        outputs = dict(as_mapping(self.pipeline.finish(share), "finish"))
        made_by = "forward()" if type(self.pipeline).finish is Pipeline.finish else "finish()"
        check_outputs(self.pipeline.outputs, outputs, made_by)
        check_bytes(self.pipeline.outputs, outputs, made_by)
        return outputs

    def _guard(self, hook: str, call: Callable[[], T]) -> T | NaiadError:
        try:
            return call()
        except BaseException as error:
            return self._failure(hook, error)

    def _failure(self, hook: str, error: BaseException) -> NaiadError:
        """Return the error that answers a request whose hook raised ``error``."""
        if isinstance(error, NaiadError):
            return error
        if _is_interrupt(error):
            raise error
        name = sendable(type(self.pipeline).__name__)
        try:
            _log.error("%s.%s() raised", name, hook, exc_info=error)
        except BaseException as failure:  # writing a traceback runs the error's own code
            _log.error(
                "%s.%s() raised an error that cannot be logged: %s", name, hook, described(failure)
            )
        return PipelineError(f"{name}.{hook}() raised {described(error)}")


def _is_interrupt(error: BaseException) -> bool:
    """Return True for Ctrl-C. Worker processes ignore it: there, the hook itself raised it."""
    return (
        isinstance(error, KeyboardInterrupt)
        and threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )


def _totals(samples: list[_Sample]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for sample in samples:
        add_sizes(totals, sample.sizes)
    return totals


class _timed:  # noqa: N801  (a context manager like contextlib's; used five times per batch)
    __slots__ = ("_report", "_stage", "_start")

    def __init__(self, report: Report, stage: str) -> None:
        self._report = report
        self._stage = stage

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        end, report = time.perf_counter(), self._report
        report.seconds[self._stage] += (end - self._start) * len(report.outcomes)
        first = report.spans.get(self._stage, (self._start, end))[0]
        report.spans[self._stage] = (first, end)


def _inference_mode(pipeline: Pipeline) -> contextlib.AbstractContextManager[Any]:
    if pipeline.arrays == "numpy":
        return contextlib.nullcontext()
    import torch

    return torch.enable_grad() if pipeline.gradients else torch.inference_mode()
