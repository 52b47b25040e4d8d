"""Batches that the native backend merges and may split, and its checks of values.

If a pipeline's ``prepare`` is the default, no work per request precedes ``forward``. The native
backend then writes the rows of all requests of a batch one after another to shared memory, with
indices checked and shifted and other values checked against their range, so that a worker has the
merged tensors without a copy. A request with a value out of range is sent by itself, after the
batch, to get its error message. If anything else is wrong, with a value that only Python can check
or in ``forward``, the worker asks for the requests of the batch one by one. If ``finish`` is the
default too, the native backend splits the results, and a worker's work is per batch instead of per
request.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from naiad.core.merging import Batch
from naiad.core.pipeline import Pipeline
from naiad.core.schema import BYTES, Schema, Tensor, is_bounded, value_range, within_bounds
from naiad.runtime.runner import Report, Runner


def can_be_merged(pipeline: type[Pipeline]) -> bool:
    """Return True if the native backend may merge a pipeline's requests."""
    return (
        pipeline.prepare is Pipeline.prepare
        and pipeline.sample == pipeline.inputs
        and all(map(_is_in_rows, pipeline.inputs.values()))
        and not any(tensor.optional or tensor.unique for tensor in pipeline.inputs.values())
    )


def can_be_split(pipeline: type[Pipeline]) -> bool:
    """Return True if the native backend may split the results of merged requests."""
    outputs = pipeline.outputs.values()
    return (
        can_be_merged(pipeline)
        and pipeline.finish is Pipeline.finish
        and pipeline.result == pipeline.outputs
        and all(map(_is_in_rows, outputs))
        and not any(tensor.dtype == BYTES or tensor.index_targets() for tensor in outputs)
    )


def _is_in_rows(tensor: Tensor) -> bool:
    """Return True if rows have one size and those of ``bytes`` are contiguous."""
    return not tensor.names[1:] and (tensor.dtype != BYTES or not tensor.axis)


def checked_range(tensor: Tensor) -> tuple[float, float] | None:
    """Return the range that the native backend checks a tensor's values against, or None.

    For a tensor of indices it checks those and nothing else.
    """
    if not is_bounded(tensor) or tensor.index_targets() or tensor.dtype in ("bool", "float16"):
        return None
    return value_range(tensor)


def unchecked(inputs: Schema) -> Schema:
    """Return the inputs with values that the native backend does not check, or not completely."""
    return {
        name: tensor
        for name, tensor in inputs.items()
        if tensor.unique
        or (checked_range(tensor) is None and is_bounded(replace(tensor, index_into=None)))
    }


@dataclass(frozen=True, slots=True)
class Merger:
    """Runs merged batches through a pipeline.

    Attributes:
        runner: of the pipeline.
        bounded: the pipeline's inputs whose values have bounds that the native backend has not
            checked.
        splits: True if the native backend splits the results.
    """

    runner: Runner
    bounded: Schema
    splits: bool

    @classmethod
    def of(cls, runner: Runner) -> Merger:
        """Make one for a pipeline that :func:`can_be_merged`."""
        left = unchecked(runner.pipeline.inputs)
        bounded = {name: replace(tensor, index_into=None) for name, tensor in left.items()}
        return cls(runner, bounded, can_be_split(type(runner.pipeline)))

    def run(self, batch: Batch) -> Report | None:
        """Run a batch; return None if its requests must be run one by one."""
        for name, tensor in self.bounded.items():
            array = batch[name]
            if array.size and not within_bounds(tensor, array, {}):
                return None
        totals = batch.totals()
        if not self.runner.allows(totals):
            return None
        report = Report([{}] * batch.requests)
        try:
            if not self.splits:
                report.outcomes = self.runner.finish(self.runner.shares(batch, report), report)
                return report
            arrays = self.runner.evaluate(batch, report)
        except BaseException:  # run one by one, they show which of them failed
            return None
        for name, tensor in self.runner.pipeline.outputs.items():
            if name not in arrays or not _fits(tensor, arrays[name], batch):
                return None
        report.batches.append(totals)
        report.merged = arrays
        return report


def _fits(tensor: Tensor, array: Any, batch: Batch) -> bool:
    expected = tuple(batch.total(d) if isinstance(d, str) else d for d in tensor.dims)
    if tensor.axis is None:
        expected = (batch.requests, *expected)
    return array.dtype == tensor.numpy and array.shape == expected
