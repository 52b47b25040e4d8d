"""Checks of a request against its model, before anything is sent."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from numpy.typing import ArrayLike, NDArray
from tritonclient.utils import (
    TRITON_RESERVED_REQUEST_PARAMS,
    TRITON_RESERVED_REQUEST_PARAMS_PREFIX,
)

from naiad.client.dtypes import surrogate, to_wire
from naiad.client.graphs import GraphArrays, Inputs, arrays_of, is_graph, of_model
from naiad.client.spec import ModelSpec, TensorSpec
from naiad.client.transport import Parameter
from naiad.errors import InvalidInput

_INT64 = range(-(2**63), 2**63)


def merged(arrays: Inputs | None, tensors: Mapping[str, ArrayLike]) -> Mapping[str, ArrayLike]:
    """Return tensors given as a mapping or graph and as keywords in one dict.

    Raises:
        InvalidInput: a tensor is given both ways.
    """
    if arrays is None or isinstance(arrays, Mapping):
        given = arrays or {}
    elif is_graph(arrays):
        given = arrays_of(arrays)
    else:
        raise InvalidInput(f"the inputs are a {type(arrays).__name__}; give tensors by name")
    twice = sorted(given.keys() & tensors.keys())
    if twice:
        raise InvalidInput(f"{twice[0]} is given twice: in the mapping and as a keyword")
    both = {**given, **tensors}
    return GraphArrays(both) if isinstance(given, GraphArrays) else both


def checked_version(version: int | str | None) -> str:
    """Return a version as it is sent: "" for the newest.

    Raises:
        InvalidInput: it is no whole number, such as 2 or "2", or below 1.
    """
    if version is None:
        return ""
    try:
        number = int(version) if isinstance(version, str) else operator.index(version)
    except (ValueError, TypeError):
        number = 0
    if number < 1 or isinstance(version, bool):
        raise InvalidInput(f"version is {version!r}; it must be a whole number, 1 or more")
    return str(number)


def checked_text(what: str, text: str) -> str:
    """Return ``text``, after checking that it can be sent as UTF-8.

    Raises:
        InvalidInput: it has a surrogate; says where.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(f"{what}: {surrogate(error)}") from None
    return text


def checked_inputs(spec: ModelSpec, arrays: Mapping[str, ArrayLike]) -> dict[str, NDArray[Any]]:
    """Return ``arrays`` in the dtypes of the model ``spec``, after checking names and shapes.

    Shapes of outputs are never checked: some served models declare dims that their answers do not
    have, and clients rely on those answers.

    Raises:
        InvalidInput: for an unknown or missing tensor, or a wrong dtype, rank, size or batch.
    """
    if isinstance(arrays, GraphArrays):
        arrays = of_model(arrays, spec.inputs, spec.name)
    unknown = [name for name in arrays if name not in spec.inputs]
    if unknown:
        raise InvalidInput(f'model "{spec.name}" has no input {unknown[0]}; {_has(spec)}')
    missing = [name for name, t in spec.inputs.items() if not t.optional and name not in arrays]
    if missing:
        raise InvalidInput(
            f'input {", ".join(missing)} of model "{spec.name}" is missing; {_has(spec)}'
        )
    ready = {name: to_wire(name, arrays[name], spec.inputs[name].datatype) for name in arrays}
    for name, array in ready.items():
        _check_shape(spec, spec.inputs[name], array.shape)
    if spec.max_batch_size:
        _check_batches(spec, ready)
    return ready


def checked_outputs(spec: ModelSpec, names: Sequence[str] | None) -> tuple[str, ...] | None:
    """Return the wanted outputs; None means all.

    Raises:
        InvalidInput: the model has no such output.
    """
    if names is None:
        return None
    if isinstance(names, str):
        names = (names,)
    for name in names:
        if name not in spec.outputs:
            why = spec.why_left_out(name)
            raise InvalidInput(
                f'model "{spec.name}" has no output {name}{why and f": {why}"}; '
                f"it gives {_listed(spec.outputs)}"
            )
    return tuple(names)


def checked_parameters(parameters: Mapping[str, Parameter] | None) -> dict[str, Parameter]:
    """Return the request parameters, after checking that each can be sent.

    Raises:
        InvalidInput: for a name that Triton reserves, or a value that is not a str, bool, 64-bit
            integer or finite float.
    """
    for name, value in (parameters or {}).items():
        checked_text("the name of a parameter", name)
        if name in TRITON_RESERVED_REQUEST_PARAMS or name.startswith(
            TRITON_RESERVED_REQUEST_PARAMS_PREFIX
        ):
            raise InvalidInput(f"parameter {name}: Triton reserves this name")
        if not _can_be_sent(value):
            raise InvalidInput(
                f"parameter {name} is {value!r}; "
                "it must be a str, a bool, a 64-bit integer or a finite float"
            )
        if isinstance(value, str):
            checked_text(f"parameter {name}", value)
    return dict(parameters or {})


def _can_be_sent(value: object) -> bool:
    if isinstance(value, bool | str):  # a bool is an int too, so it comes first
        return True
    if isinstance(value, int):
        return value in _INT64
    return isinstance(value, float) and math.isfinite(value)


def _check_shape(spec: ModelSpec, tensor: TensorSpec, shape: tuple[int, ...]) -> None:
    dims = (-1, *tensor.dims) if spec.max_batch_size else tensor.dims
    takes = _shown(("batch", *tensor.dims) if spec.max_batch_size else dims)
    if len(shape) != len(dims):
        hint = ""
        if spec.max_batch_size and len(shape) == len(tensor.dims):
            hint = "; a batch of one is array[None]"
        raise InvalidInput(
            f"{tensor.name} has shape {_shown(shape)}; "
            f'model "{spec.name}" takes {takes} ({_dimensions(len(dims))}){hint}'
        )
    for position, (size, dim) in enumerate(zip(shape, dims, strict=True)):
        if dim not in (-1, size):
            raise InvalidInput(
                f"{tensor.name} has shape {_shown(shape)}: dimension {position} is {size}; "
                f'model "{spec.name}" takes {takes}, so it must be {dim}'
            )


def _check_batches(spec: ModelSpec, arrays: Mapping[str, NDArray[Any]]) -> None:
    sizes = {name: array.shape[0] for name, array in arrays.items()}
    first = next(iter(sizes), "")
    for name, size in sizes.items():
        if not 1 <= size <= spec.max_batch_size:
            raise InvalidInput(
                f"{name} is a batch of {size}; "
                f'model "{spec.name}" takes batches of 1 to {spec.max_batch_size}'
            )
        if size != sizes[first]:
            raise InvalidInput(
                f"{name} is a batch of {size}, but {first} one of {sizes[first]}; "
                "all inputs must have the same batch size"
            )


def _has(spec: ModelSpec) -> str:
    described = ", ".join(
        f"{t.name} ({t.datatype} {_shown(t.dims)}{', optional' if t.optional else ''})"
        for t in spec.inputs.values()
    )
    return f"it takes {described}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def _shown(shape: Iterable[object]) -> str:
    return f"[{', '.join('any' if size == -1 else str(size) for size in shape)}]"


def _dimensions(count: int) -> str:
    return f"{count} dimension{'' if count == 1 else 's'}"
