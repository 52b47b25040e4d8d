"""Tensor declarations: dtype, named dimensions and allowed values.

Dimension names do the work. Tensors that share a name must agree on its size; ``index_into`` marks
values that are positions along a dimension, so that they can be checked and, when requests are
merged, shifted; budgets count named dimensions. Validation, ``config.pbtxt``, collate and split,
and the documentation tables are derived from these declarations.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from naiad.errors import InvalidInput, SchemaError

Array: TypeAlias = NDArray[Any]
Arrays: TypeAlias = Mapping[str, Array]
Schema: TypeAlias = Mapping[str, "Tensor"]

REQUESTS: Final = "requests"
"""The dimension along which every request has exactly one row."""

BYTES: Final = "bytes"

# dtype -> name in the KServe v2 protocol. In config.pbtxt BYTES is written TYPE_STRING.
TRITON_NAMES: Final[Mapping[str, str]] = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
    BYTES: "BYTES",
}

_UNSENT: Final = 65_536
"""Maximum size of a dimension for which a request sends no values, such as one of
``(100_000, 0)`` numbers: the server may allocate memory for it, yet it costs nothing to send."""

_NUMPY = {name: np.dtype(object if name == BYTES else name) for name in TRITON_NAMES}


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of a pipeline: dtype, dimensions and the values it may hold.

    Args:
        dtype: NumPy's name (``"float32"``, ``"int64"``, ``"bool"``, ...) or ``"bytes"``.
        dims: sizes (``int``) and dimension names (``str``), e.g. ``("hits", 4)``. The first name
            is the one along which requests are merged; a tensor without a name is stacked. The
            name ``"requests"`` has exactly one row per request.
        index_into: the dimension whose positions the values are (0 to its size - 1). For a
            ``(2, "edges")`` tensor a pair names the dimension of each row.
        optional: a request may omit it.
        default: the value with which an omitted optional tensor is filled.
        minimum: the smallest allowed value.
        maximum: the largest allowed value.
        categories: the allowed integers and their names.
        finite: refuse NaN and infinity (floats only).
        unique: refuse repeated values.
        declared: the dims to write in ``config.pbtxt`` if an existing contract differs from the
            served shape.
        counts: a name under which budgets count its content instead of its rows: the bytes of a
            ``bytes`` tensor, the values of any other.
        layout: the order of an image tensor's last three dims (``"NHWC"`` or ``"NCHW"``), which
            Triton's standard image clients read from the config.
        unit: physical unit, for documentation and messages.
        doc: one line of documentation.

    Attributes:
        numpy: the NumPy dtype; ``bytes`` tensors are object arrays (``S`` drops trailing NULs).
        names: the dimension names, in order.
        axis: the axis along which requests are merged, or None for a tensor that is stacked.

    Raises:
        SchemaError: the declaration contradicts itself.
    """

    dtype: str
    dims: tuple[int | str, ...]
    index_into: str | tuple[str, ...] | None = field(default=None, kw_only=True)
    optional: bool = field(default=False, kw_only=True)
    default: float | int | bool | bytes | None = field(default=None, kw_only=True)
    minimum: float | None = field(default=None, kw_only=True)
    maximum: float | None = field(default=None, kw_only=True)
    categories: Mapping[int, str] | None = field(default=None, kw_only=True)
    finite: bool = field(default=True, kw_only=True)
    unique: bool = field(default=False, kw_only=True)
    declared: tuple[int, ...] | None = field(default=None, kw_only=True)
    counts: str = field(default="", kw_only=True)
    layout: Literal["NHWC", "NCHW"] | None = field(default=None, kw_only=True)
    unit: str = field(default="", kw_only=True)
    doc: str = field(default="", kw_only=True)
    numpy: np.dtype[Any] = field(init=False, repr=False, compare=False)
    names: tuple[str, ...] = field(init=False, repr=False, compare=False)
    axis: int | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.dtype not in TRITON_NAMES:
            raise SchemaError(f"dtype {self.dtype!r} is not one of {', '.join(TRITON_NAMES)}")
        given: Any = self.dims  # ("nodes") is no tuple
        if not isinstance(given, tuple | list):
            raise SchemaError(f"dims is {given!r}; it must be a tuple, such as ({given!r},)")
        object.__setattr__(self, "dims", tuple(cast("list[Any]", given)))
        for dim in self.dims:
            if isinstance(dim, int) and dim < 1:
                raise SchemaError(f"dimension {dim} in {self.dims}: give a size > 0 or a name")
        if self.index_into is not None:
            if not self.dtype.startswith(("int", "uint")):
                raise SchemaError(f"index_into needs an integer dtype, not {self.dtype}")
            if isinstance(self.index_into, tuple) and self.dims[:1] != (len(self.index_into),):
                raise SchemaError(
                    f"index_into={self.index_into} names {len(self.index_into)} rows, "
                    f"but dims={self.dims} does not start with {len(self.index_into)}"
                )
        if self.default is not None and not self.optional:
            raise SchemaError("a tensor with a default must be optional=True")
        # Needed for every request, so computed once.
        names = tuple(dim for dim in self.dims if isinstance(dim, str))
        object.__setattr__(self, "numpy", _NUMPY[self.dtype])
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "axis", self.dims.index(names[0]) if names else None)

    @property
    def triton(self) -> str:
        """The dtype's name in the KServe v2 protocol, such as ``FP32``."""
        return TRITON_NAMES[self.dtype]

    @property
    def config_dims(self) -> tuple[int, ...]:
        """The dims for ``config.pbtxt``: -1 for a name, 1 for ``requests``."""
        if self.declared is not None:
            return self.declared
        sizes = tuple(-1 if isinstance(d, str) and d != REQUESTS else d for d in self.dims)
        return tuple(1 if isinstance(d, str) else d for d in sizes) or (1,)

    def index_targets(self) -> tuple[str, ...]:
        """Return the dimensions that the values index into; empty if they are not indices."""
        if self.index_into is None:
            return ()
        return (self.index_into,) if isinstance(self.index_into, str) else self.index_into

    def amount(self, array: Array) -> int:
        """Return the amount of content of an array, as ``counts`` defines it."""
        if self.dtype != BYTES:
            return array.size
        return sum(len(value) for value in array.flat if isinstance(value, bytes))

    def shape_text(self) -> str:
        """Return the shape as text, such as ``[nodes, 1433]``."""
        dims = ("1" if dim == REQUESTS else str(dim) for dim in self.dims)
        return f"[{', '.join(dims)}]"


def input_name(store: str | tuple[str, ...] | None, key: str) -> str:
    """Return the input of an attribute of a graph, such as ``x`` or ``paper__x``.

    Args:
        store: node type, edge type, or None in a graph with one of each.
        key: name of the attribute.
    """
    return "__".join([*([store] if isinstance(store, str) else store or ()), key])


def named_dims(schema: Schema) -> list[str]:
    """Return the dimension names of all tensors, in order, with repetitions."""
    return [dim for tensor in schema.values() for dim in tensor.names]


def sized_dims(schema: Schema) -> list[str]:
    """Return all names for which a request has a size: dimensions and ``counts``."""
    return [*named_dims(schema), *(t.counts for t in schema.values() if t.counts)]


def check_schema(schema: Schema, known: Iterator[str] | tuple[str, ...] = ()) -> None:
    """Check that the tensors' dimension names fit together.

    ``known`` are dimensions that are sized elsewhere.

    Raises:
        SchemaError: an index into an unknown dimension, a dimension that one tensor is merged along
            and another is not, or a ``counts`` name that is also a dimension.
    """
    dims = {*named_dims(schema), *known, REQUESTS}
    merged = {t.dims[t.axis] for t in schema.values() if t.axis is not None} | {*known, REQUESTS}
    for name, tensor in schema.items():
        if tensor.counts in dims:
            raise SchemaError(
                f"{name}: counts={tensor.counts!r} is a dimension; choose another name"
            )
        for target in tensor.index_targets():
            if target not in merged:
                raise SchemaError(
                    f"{name}: index_into={target!r} is not a dimension of {', '.join(schema)}"
                )
        for inner in tensor.names[1:]:
            if inner in merged:
                raise SchemaError(
                    f"{name}: dims={tensor.dims} has {inner!r} after another name, but other "
                    "tensors are merged along it; a tensor can be merged along one dimension only"
                )


def measure(schema: Schema, arrays: Arrays, *, kind: str = "input") -> dict[str, int]:
    """Check names, dtypes and shapes; return the size of every named dimension and ``counts``.

    Raises:
        InvalidInput: with the tensor, what is wrong and what would be right.
    """
    for name in arrays:
        if name not in schema:
            raise InvalidInput(f"unknown {kind} {name!r}; the {kind}s are {', '.join(schema)}")
    sizes: dict[str, int] = {REQUESTS: 1}
    first: dict[str, str] = {}
    for name, tensor in schema.items():
        array = arrays.get(name)
        if array is None:
            if tensor.optional:
                continue
            raise InvalidInput(
                f"{kind} {name!r} is missing; it must be {tensor.dtype} {tensor.shape_text()}"
            )
        if array.dtype != tensor.numpy:
            raise InvalidInput(f"{name} is {array.dtype}; it must be {tensor.dtype}")
        if array.ndim != len(tensor.dims):
            raise InvalidInput(
                f"{name} has shape {list(array.shape)}; it must be {tensor.shape_text()}"
            )
        for dim, size in zip(tensor.dims, array.shape, strict=True):
            if isinstance(dim, int) or dim == REQUESTS:
                if size != (1 if dim == REQUESTS else dim):
                    raise InvalidInput(
                        f"{name} has shape {list(array.shape)}; it must be {tensor.shape_text()}"
                    )
            elif sizes.setdefault(dim, size) != size:
                raise InvalidInput(
                    f"{name} has {size} {dim}, but {first[dim]} has {sizes[dim]}; "
                    "they must be equal"
                )
            else:
                first.setdefault(str(dim), name)
        if tensor.counts:
            sizes[tensor.counts] = sizes.get(tensor.counts, 0) + tensor.amount(array)
    return sizes


def validate(schema: Schema, arrays: Arrays) -> dict[str, int]:
    """Check a request against its schema, values included; return its dimension sizes.

    Raises:
        InvalidInput: with the tensor, the position, the value and what would be right.
    """
    sizes = measure(schema, arrays)
    _check_unsent(schema, arrays, sizes)
    for name, array in arrays.items():
        check_values(name, schema[name], array, sizes)
    return sizes


def _check_unsent(schema: Schema, arrays: Arrays, sizes: Mapping[str, int]) -> None:
    for dim, size in sizes.items():
        if size <= _UNSENT:
            continue
        those = [name for name in arrays if dim in schema[name].dims]
        if those and not any(arrays[name].size for name in those):
            raise InvalidInput(
                f"{those[0]} has {size:,} {dim} but no values; at most {_UNSENT:,} may be empty"
            )


def fill_defaults(schema: Schema, arrays: Arrays, sizes: Mapping[str, int]) -> dict[str, Array]:
    """Return the arrays, with omitted optional tensors filled with their default."""
    filled = dict(arrays)
    for name, tensor in schema.items():
        if name in filled or tensor.default is None:
            continue
        shape = tuple(sizes.get(dim, 0) if isinstance(dim, str) else dim for dim in tensor.dims)
        filled[name] = np.full(shape, tensor.default, dtype=tensor.numpy)
    return filled


def check_values(name: str, tensor: Tensor, array: Array, sizes: Mapping[str, int]) -> None:
    """Check the values of a tensor of a request with these sizes.

    Raises:
        InvalidInput: with the position, the value and what would be right.
    """
    if not array.size:
        return
    if tensor.dtype == BYTES:
        refuse_all_but_bytes(name, array)
        return
    if not within_bounds(tensor, array, sizes):
        _check_each_value(name, tensor, array, sizes)
    if tensor.unique:
        _refuse_repeats(name, array)


def is_bounded(tensor: Tensor) -> bool:
    """Return True if a tensor excludes some values of its dtype."""
    limits = (tensor.minimum, tensor.maximum, tensor.categories, tensor.index_into)
    return any(limit is not None for limit in limits) or (
        tensor.finite and tensor.numpy.kind == "f"
    )


def value_range(tensor: Tensor) -> tuple[float, float] | None:
    """Return the smallest and largest allowed value, apart from the ranges of indices.

    None if the range does not say everything, because its categories have gaps.
    """
    least = -math.inf if tensor.minimum is None else tensor.minimum
    greatest = math.inf if tensor.maximum is None else tensor.maximum
    if tensor.categories is not None:
        first, last = min(tensor.categories), max(tensor.categories)
        if len(tensor.categories) != last - first + 1 or tensor.numpy.kind not in "iu":
            return None
        least, greatest = max(least, first), min(greatest, last)
    return least, greatest


def within_bounds(tensor: Tensor, array: Array, sizes: Mapping[str, int]) -> bool:
    """Return True if the smallest and largest value show that all are allowed, as in nearly all
    requests; if not, each value must be checked. ``array`` must not be empty.
    """
    if not is_bounded(tensor):
        return True
    low, high = array.min().item(), array.max().item()
    if array.dtype.kind == "f" and not (math.isfinite(low) and math.isfinite(high)):
        return False
    allowed = value_range(tensor)
    if allowed is None:
        return False
    ranges = [allowed, *((0, sizes.get(target, 0) - 1) for target in tensor.index_targets())]
    return all(least <= low and high <= greatest for least, greatest in ranges)


def _check_each_value(name: str, tensor: Tensor, array: Array, sizes: Mapping[str, int]) -> None:
    if tensor.finite and array.dtype.kind == "f":
        refuse_values(name, array, ~np.isfinite(array), "finite")
    unit = f" {tensor.unit}" if tensor.unit else ""
    if tensor.categories is not None:
        allowed = [f"{value} ({label})" for value, label in tensor.categories.items()]
        right = " or ".join(filter(None, [", ".join(allowed[:-1]), allowed[-1]]))
        refuse_values(name, array, ~np.isin(array, list(tensor.categories)), right)
    if tensor.minimum is not None:
        refuse_values(name, array, array < tensor.minimum, f"at least {tensor.minimum:g}{unit}")
    if tensor.maximum is not None:
        refuse_values(name, array, array > tensor.maximum, f"at most {tensor.maximum:g}{unit}")
    refuse_indices(name, tensor, array, sizes)


def refuse_indices(name: str, tensor: Tensor, array: Array, sizes: Mapping[str, int]) -> None:
    """Raise InvalidInput, naming position and value, if an index is out of range."""
    if not array.size:
        return
    positions = array.view(
        f"u{array.dtype.itemsize}"
    )  # negative values become larger than any size
    for row, target in enumerate(tensor.index_targets()):
        values = positions if isinstance(tensor.index_into, str) else positions[row]
        size = sizes.get(target, 0)
        if values.max() >= size:
            wrong = values >= size
            prefix = () if isinstance(tensor.index_into, str) else (row,)
            at = (*prefix, *_first(wrong))
            what = f"0 to {size - 1}: there are {size} {target}" if size else f"absent: no {target}"
            raise InvalidInput(f"{_place(name, at)} is {array[at]}; it must be {what}")


def _refuse_repeats(name: str, array: Array) -> None:
    flat = array.ravel()
    if (flat[1:] > flat[:-1]).all():
        return
    order = np.argsort(flat, kind="stable")
    repeated = np.flatnonzero(flat[order[1:]] == flat[order[:-1]])
    if repeated.size:
        pairs = order[repeated + 1]
        second = int(pairs.min())
        first = int(np.flatnonzero(flat == flat[second])[0])
        raise InvalidInput(
            f"{_place(name, np.unravel_index(second, array.shape))} is {flat[second]}, as is "
            f"{_place(name, np.unravel_index(first, array.shape))}; values must be unique"
        )


def refuse_all_but_bytes(name: str, array: Array) -> None:
    """Raise InvalidInput, naming position and value, if an object is not ``bytes``."""
    right = {bytes, np.bytes_}
    if not set(map(type, array.flat)) <= right:
        wrong = [type(value) not in right for value in array.flat]
        refuse_values(name, array, np.array(wrong), "bytes")


def refuse_values(name: str, array: Array, wrong: NDArray[np.bool_], right: str) -> None:
    """Raise InvalidInput for the first value that is ``wrong``; ``right`` says what it must be."""
    if wrong.any():
        at = _first(wrong.reshape(array.shape))
        value = array[at]
        text = f"{value:g}" if isinstance(value, np.floating) else repr(value)
        raise InvalidInput(
            f"{_place(name, at)} is {text if array.dtype.kind != 'i' else value}; "
            f"it must be {right}"
        )


def _first(wrong: NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(int(wrong.argmax()), wrong.shape))


def _place(name: str, at: tuple[Any, ...]) -> str:
    return f"{name}[{', '.join(str(int(i)) for i in at)}]" if at else name
