"""Batches that the front has merged already, and that it splits.

Where a pipeline's ``prepare`` and ``finish`` are the defaults, nothing is done to one request
alone. The front then lays the rows of all requests of a batch behind each other in shared memory,
so that a worker has the merged tensors without a copy, and its work is per batch and not per
request. Where anything is wrong, with a value or in ``forward``, the requests are taken apart and
go the long way, which tells each what is wrong with it.
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naiad.graph import Batch, beside_values, shift_indices
from naiad.pipeline import Pipeline
from naiad.runtime.runner import Report, Runner
from naiad.schema import BYTES, REQUESTS, Array, Schema, Tensor, within_bounds


def can_be_merged(pipeline: type[Pipeline]) -> bool:
    """Whether the front may merge a pipeline's requests and split its results."""
    alone = pipeline.prepare is not Pipeline.prepare or pipeline.finish is not Pipeline.finish
    same = pipeline.sample == pipeline.inputs and pipeline.result == pipeline.outputs
    return (
        same
        and not alone
        and all(map(_is_regular, (*pipeline.inputs.values(), *pipeline.outputs.values())))
        and not any(tensor.optional or tensor.unique for tensor in pipeline.inputs.values())
        and not any(tensor.index_targets() for tensor in pipeline.outputs.values())
    )


def _is_regular(tensor: Tensor) -> bool:
    return tensor.dtype != BYTES and not tensor.names[1:]


@dataclass(frozen=True, slots=True)
class Merged:
    """A batch as the front has laid it out.

    Attributes:
        arrays: merged inputs by name, indices as each client sent them; read-only.
        sizes: rows of each request along each dimension: int64, shape ``[requests]``.
        totals: those of all requests.
        requests: how many there are.
    """

    arrays: Mapping[str, Array]
    sizes: Mapping[str, NDArray[np.int64]]
    totals: Mapping[str, int]
    requests: int

    @classmethod
    def of(
        cls,
        schema: Schema,
        dims: Sequence[str],
        table: NDArray[np.int64],
        memory: mmap.mmap,
        offsets: Sequence[int],
    ) -> Merged:
        """The batch whose requests have the sizes ``table``: int64, shape ``[requests, dims]``."""
        sizes = dict(zip(dims, table.T, strict=True))
        totals = dict(zip(dims, table.sum(axis=0).tolist(), strict=True))
        arrays: dict[str, Array] = {}
        for (name, tensor), offset in zip(schema.items(), offsets, strict=True):
            shape = [totals[d] if isinstance(d, str) else d for d in tensor.dims]
            if tensor.axis is None:
                shape = [len(table), *shape]
            array = np.ndarray(shape, tensor.numpy, memory, offset)
            array.flags.writeable = False
            arrays[name] = array
        return cls(arrays, sizes, totals, len(table))

    def batch(self, schema: Schema, plain: Schema) -> Batch | None:
        """The batch for ``forward``, indices shifted; None where a value is not allowed.

        ``plain`` is the schema without its indices.
        """
        arrays = dict(self.arrays)
        for name, tensor in schema.items():
            array = arrays[name]
            if not array.size:
                continue
            if not within_bounds(plain[name], array, {}):
                return None
            if tensor.index_into is not None:
                shifted = self._shifted(tensor, array)
                if shifted is None:
                    return None
                arrays[name] = shifted
        return Batch(arrays, self.sizes, self.requests, totals=self.totals)

    def apart(self, schema: Schema) -> list[dict[str, Array]]:
        """The arrays of each request."""
        shares: list[dict[str, Array]] = [{} for _ in range(self.requests)]
        for name, tensor in schema.items():
            axis, rows = self._rows(tensor)
            start = 0
            for share, count in zip(shares, rows.tolist(), strict=True):
                if tensor.axis is None:
                    share[name] = self.arrays[name][start]
                else:
                    before = (slice(None),) * axis
                    share[name] = self.arrays[name][(*before, slice(start, start + count))]
                start += count
        return shares

    def _rows(self, tensor: Tensor) -> tuple[int, NDArray[np.int64]]:
        dim = REQUESTS if tensor.axis is None else tensor.dims[tensor.axis]
        return tensor.axis or 0, self.sizes[str(dim)]

    def _shifted(self, tensor: Tensor, array: Array) -> Array | None:
        """The indices as those of the merged graph; None where one is out of its range."""
        rows = self._rows(tensor)[1]
        sizes = np.stack([self.sizes[target] for target in tensor.index_targets()])
        if array.min() < 0 or (array >= beside_values(tensor, array, sizes, rows)).any():
            return None
        return shift_indices(tensor, array, self.sizes, rows, +1)


@dataclass(frozen=True, slots=True)
class Merger:
    """Runs merged batches through a pipeline.

    Attributes:
        runner: of the pipeline.
        plain: the pipeline's inputs without their indices.
    """

    runner: Runner
    plain: Schema

    @classmethod
    def of(cls, runner: Runner) -> Merger:
        """For a pipeline that :func:`can_be_merged`."""
        inputs = runner.pipeline.inputs
        return cls(runner, {k: replace(t, index_into=None) for k, t in inputs.items()})

    def run(self, merged: Merged) -> tuple[dict[str, Array], Report] | None:
        """Run a batch; what came out, not split, and how long it took.

        None where it must go the long way.
        """
        pipeline = self.runner.pipeline
        batch = merged.batch(pipeline.inputs, self.plain)
        if batch is None or not self.runner.allows(batch.totals()):
            return None
        report = Report([{} for _ in range(merged.requests)])
        try:
            arrays = self.runner.evaluate(batch, report)
        except Exception:  # the long way finds who is to blame
            return None
        for name, tensor in pipeline.outputs.items():
            if name not in arrays or not _fits(tensor, arrays[name], batch):
                return None
        report.batches.append(batch.totals())
        return arrays, report


def _fits(tensor: Tensor, array: Any, batch: Batch) -> bool:
    expected = tuple(batch.total(d) if isinstance(d, str) else d for d in tensor.dims)
    if tensor.axis is None:
        expected = (batch.requests, *expected)
    return array.dtype == tensor.numpy and array.shape == expected
