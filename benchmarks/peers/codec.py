"""Arrays as bytes, for servers whose requests are bodies or single elements."""

from __future__ import annotations

import msgspec
import numpy as np

Arrays = dict[str, np.ndarray]

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(dict[str, tuple[str, list[int], bytes | list[bytes]]]).decode


def pack(arrays: Arrays) -> bytes:
    """Return arrays as MessagePack: dtype, shape and bytes by name, little-endian.

    Arrays of dtype object hold bytes; they become lists of bytes.
    """
    return _encode({name: _packed(array) for name, array in arrays.items()})


def unpack(data: bytes) -> Arrays:
    """Return the arrays that were packed; numeric ones are read-only views of ``data``."""
    return {name: _unpacked(*packed) for name, packed in _decode(data).items()}


def _packed(array: np.ndarray) -> tuple[str, tuple[int, ...], object]:
    if array.dtype == object:
        return "O", array.shape, [bytes(element) for element in array.flat]
    array = np.ascontiguousarray(array)
    return array.dtype.str, array.shape, array.reshape(-1).view(np.uint8).data


def _unpacked(dtype: str, shape: list[int], content: bytes | list[bytes]) -> np.ndarray:
    if isinstance(content, list):
        return np.array([*content, None], object)[:-1].reshape(shape)
    return np.frombuffer(content, dtype).reshape(shape)
