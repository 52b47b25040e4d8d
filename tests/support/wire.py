"""Tasks as the native backend sends them to a worker."""

from __future__ import annotations

import json
import struct
from array import array
from typing import Any, TypeAlias

import numpy as np

from naiad.core.schema import measure
from naiad.runtime.shared import Arena
from naiad.runtime.wire import Wire

Ask: TypeAlias = "tuple[str, dict[str, Any], dict[str, np.ndarray]]"
"""A request: its id, parameters and arrays."""


def protocol(values: np.ndarray) -> bytes:
    """Return a tensor as the KServe v2 protocol has it."""
    if values.dtype != object:
        return values.tobytes()
    return b"".join(struct.pack("<I", len(value)) + value for value in values.flat)


def task(wire: Wire, inbox: Arena, asked: list[Ask], *, checked: bool = False) -> bytes:
    """Return the message for requests, as ``contract.h`` writes it; arrays go to the inbox.

    ``checked``: the native backend has found their values in range.
    """
    numbers, text, end = [0, len(asked), 0, 1], b"", 0
    pieces: list[tuple[int, bytes]] = []
    for name, parameters, arrays in asked:
        said = json.dumps(parameters).encode() if parameters else b""
        text += name.encode() + said
        sizes = measure(wire.inputs, arrays) if checked else {}
        numbers += [int(checked), *(sizes.get(dim, 0) for dim in wire.dims)]
        numbers += [len(name.encode()), len(said)]
        for key in wire.inputs:
            if key not in arrays:
                numbers.append(-1)
                continue
            data = protocol(arrays[key])
            numbers += [arrays[key].ndim, *arrays[key].shape, end, len(data)]
            pieces.append((end, data))
            end += -(-len(data) // 64) * 64
    numbers[0] = end
    memory = inbox.reserve(end)
    for offset, data in pieces:
        memory[offset : offset + len(data)] = data
    return array("q", [len(numbers), *numbers]).tobytes() + text
