"""Tensors as raw bytes, the form in which both transports send them."""

from __future__ import annotations

import struct
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from tritonclient.utils import deserialize_bytes_tensor, np_to_triton_dtype

from naiad.client.dtypes import numpy_dtype


def datatype(array: NDArray[Any]) -> str:
    """Return the wire datatype of ``array``, such as ``FP32``."""
    return cast(str, np_to_triton_dtype(array.dtype))


def pack(array: NDArray[Any]) -> bytes:
    """Return the elements of ``array`` in row-major order, little endian.

    In an ``object`` array (of ``bytes``) each element follows its length, a uint32.
    """
    if array.dtype == np.object_:
        return b"".join(struct.pack("<I", len(element)) + element for element in array.flat)
    return array.tobytes()


def packed_size(array: NDArray[Any]) -> int:
    """Return the number of bytes that :func:`pack` returns, without packing."""
    if array.dtype == np.object_:
        return sum(4 + len(element) for element in array.flat)
    return array.nbytes


def unpack(data: bytes | memoryview, datatype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Return the array that `pack` packed, in its own writable memory."""
    if datatype == "BYTES":
        return deserialize_bytes_tensor(data).reshape(shape)
    return np.frombuffer(data, dtype=numpy_dtype(datatype)).reshape(shape).copy()
