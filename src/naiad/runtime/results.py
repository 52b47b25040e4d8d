"""Checks of hooks' results against the schema; Triton does none (seen in 2.51)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from naiad.core.schema import BYTES, Array, Arrays, Schema, Tensor, measure, refuse_all_but_bytes
from naiad.errors import InvalidInput, PipelineError


def as_mapping(returned: Any, hook: str) -> Mapping[str, Any]:
    """Return a hook's result. Raise PipelineError if it is not a mapping."""
    if isinstance(returned, Mapping):
        return returned
    kind = type(returned).__name__
    raise PipelineError(f"{hook}() returned a {kind}; it must be a mapping of names to arrays")


def as_numpy(name: str, value: Any) -> Array:
    """Return an array or torch tensor as a NumPy array. Raise PipelineError for anything else."""
    if isinstance(value, np.ndarray):
        return value
    if not hasattr(value, "detach"):
        raise PipelineError(
            f"forward() returned {name} as {type(value).__name__}, which is not an array"
        )
    try:
        return value.numpy(force=True)
    except TypeError:
        raise PipelineError(
            f"forward() returned {name} as {value.dtype} {list(value.shape)} of layout "
            f"{value.layout}, which NumPy does not have; convert it, for example with .float() or "
            ".to_dense()"
        ) from None


def check_merged(name: str, tensor: Tensor, array: Array) -> None:
    """Check a merged array before it is split; a failure later would fail all requests."""
    rank = len(tensor.dims) + (tensor.axis is None)
    if array.dtype != tensor.numpy or array.ndim != rank:
        raise PipelineError(
            f"forward() returned {name} as {array.dtype} {list(array.shape)}; it must be "
            f"{tensor.dtype} of {rank} dimensions"
        )


def check_outputs(schema: Schema, arrays: Arrays, hook: str) -> dict[str, int]:
    """Check a hook's result for one request.

    Raises:
        PipelineError: names, dtypes or shapes differ from the schema.
    """
    returned: Mapping[str, Any] = arrays
    for name, value in returned.items():
        if not isinstance(value, np.ndarray | np.generic):
            kind = type(value).__name__
            raise PipelineError(f"{hook} returned {name} as {kind}, which is not a NumPy array")
    try:
        return measure(schema, arrays, kind="tensor")
    except InvalidInput as error:
        raise PipelineError(f"{hook} returned an invalid result: {error}") from error


def check_bytes(schema: Schema, arrays: Arrays, hook: str) -> None:
    """Check that tensors of ``bytes`` hold nothing else; values are written one by one.

    Raises:
        PipelineError: one holds something else.
    """
    for name, array in arrays.items():
        if schema[name].dtype != BYTES:
            continue
        try:
            refuse_all_but_bytes(name, array)
        except InvalidInput as error:
            raise PipelineError(f"{hook} returned an invalid result: {error}") from error
