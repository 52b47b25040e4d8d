"""Merging requests into one block-diagonal batch, and its exact inverse.

Each tensor is concatenated along its first named dimension (or stacked if it has no name), and
values declared ``index_into`` are shifted by the number of rows that preceding requests have along
that dimension. This is how PyTorch Geometric's ``Batch`` joins disconnected graphs (Fey and
Lenssen, arXiv:1903.02428), driven by the schema instead of attribute names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naiad.core.schema import REQUESTS, Array, Arrays, Schema, Tensor, named_dims, refuse_indices
from naiad.errors import InvalidInput, PipelineError

Sizes = Mapping[str, NDArray[np.int64]]
"""Rows of each request of a batch, by dimension name: int64, shape ``[requests]``."""


class Batch(Mapping[str, Any]):
    """Several requests merged into one: arrays by name, and the rows of each request.

    Values are torch tensors on ``device``, or NumPy arrays for pipelines with
    ``arrays = "numpy"``.
    """

    __slots__ = ("_arrays", "_sizes", "_totals", "device", "requests")

    def __init__(
        self,
        arrays: Mapping[str, Any],
        sizes: Sizes,
        requests: int,
        device: str | None = None,
        *,
        totals: Mapping[str, int] | None = None,
    ) -> None:
        """Hold merged ``arrays`` of ``requests`` requests whose dimensions have ``sizes``.

        ``totals`` are the sums of those, if known already.
        """
        if totals is None:
            totals = {dim: int(rows.sum()) for dim, rows in sizes.items()}
        self._arrays = arrays
        self._sizes = sizes
        self._totals = totals
        self.requests = requests
        self.device = device

    def __getitem__(self, name: str) -> Any:
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def sizes(self, dim: str) -> NDArray[np.int64]:
        """Return the rows of each request along ``dim``: int64, shape ``[requests]``."""
        if dim == REQUESTS:
            return np.ones(self.requests, np.int64)
        return self._sizes[dim].copy()  # writable, as torch.from_numpy demands

    def total(self, dim: str) -> int:
        """Return the rows of the whole batch along ``dim``."""
        return self.requests if dim == REQUESTS else self._totals[dim]

    def index(self, dim: str) -> Any:
        """Return the request of each row of ``dim``: int64, shape ``[total(dim)]``."""
        index = np.repeat(np.arange(self.requests), self.sizes(dim))
        return index if self.device is None else _to_torch(index, self.device)

    def totals(self) -> dict[str, int]:
        """Return the rows of the whole batch along each dimension."""
        return dict(self._totals)

    def torch(self, device: str) -> Batch:
        """Return the batch as torch tensors on ``device`` (no copy on the CPU)."""
        arrays = {
            k: v if v.dtype == object else _to_torch(v, device) for k, v in self._arrays.items()
        }
        return Batch(arrays, self._sizes, self.requests, device, totals=self._totals)


def signature(
    schema: Schema, sample: Arrays, sizes: Mapping[str, int]
) -> tuple[tuple[str, int], ...]:
    """Return what two samples must have in common to be merged: the tensors present, and the sizes
    of the named dimensions along which nothing is concatenated.
    """
    inner = {dim for tensor in schema.values() for dim in tensor.names[1:]}
    present = {name for name, tensor in schema.items() if tensor.optional and name in sample}
    return tuple(sorted((name, sizes.get(name, -1)) for name in inner | present))


def collate(schema: Schema, samples: Sequence[Arrays], sizes: Sequence[Mapping[str, int]]) -> Batch:
    """Merge samples of equal :func:`signature` into one batch of NumPy arrays.

    ``sizes`` holds each sample's dimensions, as :func:`naiad.core.schema.measure` returns them.
    Every index is checked here, whatever its origin: outside its own sample's range it would
    point into another sample or beyond the batch, and compiled code would read there.

    Raises:
        PipelineError: an index is out of range, or would overflow its dtype once shifted.
    """
    dims = {dim: np.array([s.get(dim, 0) for s in sizes], np.int64) for dim in _dims(schema)}
    totals = {dim: sum(s.get(dim, 0) for s in sizes) for dim in dims}
    merged: dict[str, Array] = {}
    for name, tensor in schema.items():
        if name not in samples[0]:
            continue
        parts = [sample[name] for sample in samples]
        axis = tensor.axis
        if tensor.index_into is not None:
            _check_indices(name, tensor, parts, sizes, totals)
        if len(parts) == 1:
            merged[name] = parts[0][None] if axis is None else parts[0]
            continue
        whole = np.stack(parts) if axis is None else np.concatenate(parts, axis=axis)
        rows = np.array([1 if axis is None else part.shape[axis] for part in parts])
        merged[name] = shift_indices(tensor, whole, dims, rows, +1)
    return Batch(merged, dims, len(samples), totals=totals)


def split(
    schema: Schema, arrays: Mapping[str, Array], sizes: Sizes, requests: int
) -> list[dict[str, Array]]:
    """Undo :func:`collate`: each request's share of merged arrays, indices shifted back.

    Raises:
        PipelineError: an array's number of rows is not the batch's along its dimension.
    """
    shares: list[dict[str, Array]] = [{} for _ in range(requests)]
    for name, whole in arrays.items():
        tensor = schema[name]
        axis = tensor.axis or 0
        dim = REQUESTS if tensor.axis is None else str(tensor.dims[axis])
        rows = np.ones(requests, np.int64) if dim == REQUESTS else sizes[dim]
        total = rows[0] if requests == 1 else rows.sum()
        if whole.ndim <= axis or whole.shape[axis] != total:
            raise PipelineError(
                f"forward() returned {name} with shape {list(whole.shape)}; axis {axis} must be "
                f"the batch's {total} {dim}"
            )
        if requests == 1:
            shares[0][name] = whole[0] if tensor.axis is None else whole
            continue
        if tensor.index_into is not None:
            ones = np.ones(requests, np.int64)
            whole = shift_indices(tensor, whole, {**sizes, REQUESTS: ones}, rows, -1)
        before, start = (slice(None),) * axis, 0
        for share, end in zip(shares, np.cumsum(rows).tolist(), strict=True):
            share[name] = (
                whole[start] if tensor.axis is None else whole[(*before, slice(start, end))]
            )
            start = end
    return shares


def _dims(schema: Schema) -> set[str]:
    return {*named_dims(schema), REQUESTS}


def shift_indices(
    tensor: Tensor, whole: Array, sizes: Sizes, rows: NDArray[np.int64], sign: int
) -> Array:
    """Shift a merged index tensor by ``sign`` times the rows of the preceding requests.

    ``rows`` is the number of the values' rows per request; other tensors are left unchanged.
    """
    targets = tensor.index_targets()
    if not targets:
        return whole
    offsets = [np.cumsum(sizes[target]) - sizes[target] for target in targets]
    return whole + _for_each(tensor, whole, sign * np.stack(offsets).astype(whole.dtype), rows)


def _for_each(tensor: Tensor, whole: Array, values: Array, rows: NDArray[np.int64]) -> Array:
    """Repeat values, ``[targets, requests]``, to broadcast with the indices."""
    repeated = np.repeat(values, rows, axis=1)
    stacked = tensor.axis is None
    shape = [1] * whole.ndim
    shape[tensor.axis or 0] = -1
    if not isinstance(tensor.index_into, str):
        shape[1 if stacked else 0] = len(values)
    return (repeated.T if stacked else repeated).reshape(shape)


def _check_indices(
    name: str,
    tensor: Tensor,
    parts: Sequence[Array],
    sizes: Sequence[Mapping[str, int]],
    totals: Mapping[str, int],
) -> None:
    """Check that indices are within their own request and fit their dtype once shifted."""
    try:
        for part, own in zip(parts, sizes, strict=True):
            refuse_indices(name, tensor, part, own)
    except InvalidInput as error:
        raise PipelineError(f"prepare() returned an invalid index: {error}") from error
    most = max(totals[target] for target in tensor.index_targets())
    if most > np.iinfo(tensor.numpy).max and any(part.size for part in parts):
        raise PipelineError(
            f"{name} is {tensor.dtype}, which cannot hold the positions in this batch"
        )


def _to_torch(array: Array, device: str) -> Any:
    import torch

    if not array.flags.writeable:
        # torch has no read-only tensors, and forward may write to its inputs.
        array = array.copy()
    tensor = torch.from_numpy(array)
    if device == "cpu":
        return tensor
    if device.startswith("cuda"):
        # A transfer overlaps with GPU work only from pinned memory (not run on a GPU yet).
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
