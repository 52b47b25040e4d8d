"""Wire datatypes, and lossless conversion of a user's values to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from tritonclient.utils import np_to_triton_dtype, triton_to_np_dtype

from naiad.errors import InvalidInput


def numpy_dtype(datatype: str) -> np.dtype[Any]:
    """Return the numpy dtype of a wire ``datatype`` such as ``FP32``; BYTES is ``object``.

    Raises:
        InvalidInput: for a datatype that the client does not know.
    """
    dtype = triton_to_np_dtype(datatype)
    if dtype is None:
        raise InvalidInput(f"datatype {datatype} is unknown to this client")
    return np.dtype(dtype)


def to_wire(name: str, value: ArrayLike, datatype: str) -> NDArray[Any]:
    """Convert ``value`` to an array of the wire ``datatype``, without loss.

    Integers may change width if every value fits, and become floats if every value is exact. Floats
    may be rounded to a narrower float, but may not overflow, and never become integers. BYTES
    tensors hold ``str`` (sent as UTF-8) or ``bytes``. A masked array may have no masked value.

    Raises:
        InvalidInput: names the tensor, its dtype and the right one; for a single bad element, its
            position and value.
    """
    _refuse_masked(name, value)
    if datatype == "BYTES":
        return _text(name, value)
    target = numpy_dtype(datatype)
    array = _array(name, value)
    if array.dtype == target:
        return array
    # An empty list is float64 to numpy, but has no values to lose.
    if array.size == 0 and array.dtype.kind in "biuf":
        return array.astype(target)
    kinds = (_kind(array.dtype), _kind(target))
    if kinds == ("integer", "integer"):
        return _narrow_integer(name, array, target, datatype)
    if kinds == ("integer", "float"):
        return _exact_float(name, array, target, datatype)
    if kinds == ("float", "float"):
        return _narrow_float(name, array, target, datatype)
    raise InvalidInput(
        f"{name} is {_dtype_name(array)}; it must be {datatype} (numpy {target}){_hint(*kinds)}"
    )


def surrogate(error: UnicodeEncodeError) -> str:
    """Return the message for a text with a surrogate, which comes of bytes that are not UTF-8."""
    return (
        f"character {error.start} is the surrogate U+{ord(error.object[error.start]):04X}, which "
        'is no text; send bytes, or decode them with errors="replace"'
    )


def _kind(dtype: np.dtype[Any]) -> str:
    # numpy gives bfloat16 a kind of its own ("V").
    kind = "float" if np_to_triton_dtype(dtype) == "BF16" else dtype.kind
    return {"b": "integer", "i": "integer", "u": "integer", "f": "float"}.get(kind, kind)


def _hint(have: str, want: str) -> str:
    if (have, want) == ("float", "integer"):
        return "; round it yourself if that is intended"
    return ""


def _dtype_name(array: NDArray[Any]) -> str:
    return {"U": "text", "S": "bytes", "O": "object"}.get(array.dtype.kind, str(array.dtype))


def _array(name: str, value: ArrayLike, dtype: type[object] | None = None) -> NDArray[Any]:
    try:
        return np.asarray(value, dtype=dtype)
    except (ValueError, TypeError, RuntimeError) as error:  # ragged lists; tensors on a GPU
        raise InvalidInput(f"{name} cannot become a numpy array: {error}") from None


def _refuse_masked(name: str, value: object, *place: int) -> None:
    """Refuse masked values, in a masked array or a list of some: NumPy would send what is below.

    Raises:
        InvalidInput: names the tensor and the position of the first.
    """
    if isinstance(value, np.ma.MaskedArray):
        mask = np.ma.getmaskarray(value)
        if mask.any():
            raise InvalidInput(
                f"{_at(name, (*place, *_first(mask)))} is masked, so it has no value to send; fill "
                "in one, such as array.filled(0), or leave it out"
            )
    elif isinstance(value, list | tuple):
        for number, one in enumerate(cast("Sequence[object]", value)):
            if isinstance(one, np.ma.MaskedArray | list | tuple):
                _refuse_masked(name, one, *place, number)


def _at(name: str, position: tuple[int, ...]) -> str:
    return f"{name}[{', '.join(map(str, position))}]" if position else name


def _first(bad: NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(bad)), bad.shape))


def _narrow_integer(
    name: str, array: NDArray[Any], target: np.dtype[Any], datatype: str
) -> NDArray[Any]:
    low, high = (0, 1) if target.kind == "b" else _integer_range(target)
    # Python integers, since no numpy dtype holds both the ends of int64 and of uint64.
    if int(array.min()) < low or int(array.max()) > high:
        values = array.astype(object)
        where = _first(np.asarray((values < low) | (values > high), dtype=bool))
        raise InvalidInput(
            f"{_at(name, where)} is {array[where]}; {datatype} holds {low} to {high}"
        )
    return array.astype(target)


def _integer_range(dtype: np.dtype[Any]) -> tuple[int, int]:
    limits = np.iinfo(dtype)
    return int(limits.min), int(limits.max)


def _exact_float(
    name: str, array: NDArray[Any], target: np.dtype[Any], datatype: str
) -> NDArray[Any]:
    with np.errstate(over="ignore"):
        converted = array.astype(target)
    # Floats hold every integer up to 2**(mantissa bits). Larger ones are few enough to compare one
    # by one as Python integers.
    large = np.abs(array.astype(np.float64)) > 2.0 ** _mantissa_bits(target)
    for where in map(tuple, np.argwhere(large)):
        number = float(converted[where])
        if not np.isfinite(number) or int(number) != int(array[where]):
            raise InvalidInput(
                f"{_at(name, tuple(map(int, where)))} is {array[where]}, "
                f"which {datatype} cannot hold exactly"
            )
    return converted


def _mantissa_bits(dtype: np.dtype[Any]) -> int:
    return {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}[dtype.name]


def _narrow_float(
    name: str, array: NDArray[Any], target: np.dtype[Any], datatype: str
) -> NDArray[Any]:
    with np.errstate(over="ignore"):
        converted = array.astype(target)
    overflow = np.isinf(converted.astype(np.float64)) & np.isfinite(array)
    if overflow.any():
        where = _first(overflow)
        raise InvalidInput(
            f"{_at(name, where)} is {array[where]}, which is too large for {datatype}"
        )
    return converted


def _text(name: str, value: ArrayLike) -> NDArray[Any]:
    # Not through numpy's bytes dtype, which drops trailing NUL bytes and so breaks files.
    if isinstance(value, np.ndarray) and value.dtype.kind == "S":
        raise InvalidInput(
            f"{name} has numpy's bytes dtype ({value.dtype}), which drops trailing NUL bytes; "
            "create it with dtype=object"
        )
    array = _array(name, value, dtype=object)
    encoded = np.empty(array.size, dtype=object)
    for i, element in enumerate(array.flat):
        if isinstance(element, str):
            try:
                encoded[i] = element.encode()
            except UnicodeEncodeError as error:
                where = tuple(map(int, np.unravel_index(i, array.shape)))
                raise InvalidInput(f"{_at(name, where)}: {surrogate(error)}") from None
        elif isinstance(element, bytes):
            encoded[i] = bytes(element)
        else:
            where = tuple(map(int, np.unravel_index(i, array.shape)))
            raise InvalidInput(
                f"{_at(name, where)} is {type(element).__name__}; "
                "it must be str or bytes (BYTES tensor, numpy object)"
            )
    return encoded.reshape(array.shape)
