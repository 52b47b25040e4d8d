"""Requests of other sizes, made from an example; and how far answers are apart."""

from __future__ import annotations

from typing import Final

import numpy as np

from naiad.core.schema import REQUESTS, Array, Arrays, Schema, Tensor, measure

TOLERANCE: Final = 1e-4
"""Largest difference between an answer alone and merged, relative to its largest value."""


def grown(schema: Schema, arrays: Arrays) -> dict[str, Array]:
    """Return a request whose merged dimensions are longer than the example's, by copies of rows.

    All sizes differ from each other and from the example's, so that they tell the dimensions apart.
    Dimensions without rows stay empty.
    """
    sizes = measure(schema, arrays)
    taken, new = {*sizes.values()}, dict(sizes)
    for dim in dict.fromkeys(_merged(tensor) for tensor in schema.values()):
        if dim is None or not sizes.get(dim):
            continue
        while new[dim] in taken:
            new[dim] += 1
        taken.add(new[dim])
    return {
        name: array
        if (dim := _merged(schema[name])) is None
        else _longer(schema[name], array, new[dim] - sizes[dim])
        for name, array in arrays.items()
    }


def varied(
    schema: Schema, arrays: Arrays, low: float, high: float, *, integers: bool = False
) -> dict[str, Array]:
    """Return a request of the same sizes with other values, so that averages over its rows differ.

    An example may be of zeros, or so large that one more row changes no average: graphs like it
    would not show whether a model mixes them.

    Args:
        schema: of the request.
        arrays: the request.
        low: floats are multiplied by random numbers from here
        high: to here, and stay within the declared bounds; an array of zeros gets such numbers.
        integers: replace integers that are all equal by two numbers; a model may refuse those.
            Others, which are no indices, are drawn from the first third of their rows.
    """
    random = np.random.default_rng(0)
    return {
        name: _varied(schema[name], array, random.uniform(low, high, array.shape), integers)
        for name, array in arrays.items()
    }


def _varied(tensor: Tensor, array: Array, factors: Array, integers: bool) -> Array:
    if tensor.index_into is not None or tensor.unique or not array.size:
        return array
    if array.dtype.kind == "f":
        values = (array if array.any() else 1) * factors
        return np.clip(values, tensor.minimum, tensor.maximum).astype(array.dtype)
    if tensor.axis is None or array.dtype.kind not in "iub":
        return array
    random = np.random.default_rng(0)
    first = array.reshape(-1)[0]
    bounded = tensor.categories or tensor.minimum is not None or tensor.maximum is not None
    if integers and not bounded and (array == first).all():
        other = first - 1 if first > 0 else first + 1
        return np.where(random.random(array.shape) < 0.5, first, other).astype(array.dtype)
    rows = array.shape[tensor.axis]
    return array.take(random.integers(0, (rows + 2) // 3, rows), tensor.axis)


def emptied(schema: Schema, arrays: Arrays) -> dict[str, Array]:
    """Return the example without rows along its merged dimensions."""
    return {
        name: array if _merged(tensor := schema[name]) is None else _rows(tensor, array, slice(0))
        for name, array in arrays.items()
    }


def difference(expected: Array, found: Array) -> float:
    """Return the largest difference of two arrays, relative to the largest value."""
    if expected.dtype.kind not in "fc":
        return 0.0 if np.array_equal(expected, found) else np.inf
    if not expected.size:
        return 0.0
    with np.errstate(invalid="ignore"):
        apart = np.abs(found.astype(np.float64) - expected)
    apart[(found == expected) | (np.isnan(found) & np.isnan(expected))] = 0
    scale = np.abs(expected[np.isfinite(expected)]).max(initial=0)
    return float(apart.max() / max(scale, 1e-6))


def _merged(tensor: Tensor) -> str | None:
    dim = None if tensor.axis is None else str(tensor.dims[tensor.axis])
    return None if dim == REQUESTS else dim


def _rows(tensor: Tensor, array: Array, rows: slice) -> Array:
    return array[(slice(None),) * (tensor.axis or 0) + (rows,)]


def _longer(tensor: Tensor, array: Array, more: int) -> Array:
    if not more:
        return array
    axis = tensor.axis or 0
    last = np.repeat(_rows(tensor, array, slice(-1, None)), more, axis)
    if tensor.unique:
        last = (array.max() + 1 + np.arange(last.size, dtype=array.dtype)).reshape(last.shape)
    return np.concatenate([array, last], axis)
