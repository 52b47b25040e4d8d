"""Tasks as the native backend writes them, and answers as it reads them."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from naiad.core.schema import BYTES
from naiad.runtime.shared import Arena
from naiad.runtime.wire import REPORTED, Wire


@dataclass
class Ask:
    """One request as sent; ``shapes`` and ``data`` by input need not be valid.

    ``sizes`` are those of a request whose values the native backend has checked.
    """

    id: bytes = b""
    parameters: bytes = b""
    shapes: dict[str, Sequence[int]] = field(default_factory=dict)
    data: dict[str, bytes] = field(default_factory=dict)
    sizes: Mapping[str, int] | None = None

    @classmethod
    def of(cls, arrays: Mapping[str, Any], id: bytes = b"", parameters: bytes = b"") -> Ask:
        shapes = {name: value.shape for name, value in arrays.items()}
        return cls(id, parameters, shapes, {name: protocol(v) for name, v in arrays.items()})


def protocol(values: Any) -> bytes:
    """Return a tensor in the form of the KServe v2 protocol."""
    if values.dtype != object:
        return values.tobytes()
    return b"".join(struct.pack("<I", len(value)) + value for value in values.flat)


def numbers_of(
    wire: Wire, asked: Sequence[Ask], inbox: Arena, start: int = 0
) -> tuple[list[int], bytes]:
    """Return a task's integers and text; put its arrays in the inbox from ``start`` on."""
    numbers, text, end = [0, len(asked), 0, 1], b"", start
    pieces: list[tuple[int, bytes]] = []
    for ask in asked:
        sizes = ask.sizes or {}
        numbers += [int(ask.sizes is not None), *(sizes.get(dim, 0) for dim in wire.dims)]
        numbers += [len(ask.id), len(ask.parameters)]
        text += ask.id + ask.parameters
        for name in wire.inputs:
            if name not in ask.data:
                numbers.append(-1)
                continue
            numbers += [len(ask.shapes[name]), *ask.shapes[name], end, len(ask.data[name])]
            pieces.append((end, ask.data[name]))
            end += -(-len(ask.data[name]) // 64) * 64
    numbers[0] = end
    memory = inbox.reserve(end)
    for offset, data in pieces:
        memory[offset : offset + len(data)] = data
    return numbers, text


def ahead(
    wire: Wire, asked: Sequence[Ask], inbox: Arena, start: int = 0
) -> tuple[list[int], bytes]:
    """Do the same for a worker that prepares requests during ``forward``."""
    first = start + -(-len(asked) // 64) * 64
    numbers, text = numbers_of(wire, asked, inbox, first)
    inbox.reserve(numbers[0])[start:first] = bytes(first - start)
    numbers[2:4] = [3, numbers[3], start]
    return numbers, text


def packed(numbers: Sequence[int], text: bytes) -> bytes:
    return array("q", [len(numbers), *numbers]).tobytes() + text


def answers(wire: Wire, message: bytes, outbox: Arena) -> list[Any]:
    """Read an unmerged answer as the native backend does, checking every number.

    Returns each request's outputs as shape and bytes, or its error's code, class and text.
    """
    (count,) = struct.unpack_from("=q", message)
    numbers = iter(struct.unpack_from(f"={count}q", message, 8))
    text = 8 * (count + 1)
    size = next(numbers)
    memory = outbox.reserve(size)
    found: list[Any] = []
    requests, form = next(numbers), next(numbers)
    assert form == 0
    for _ in range(requests):
        if code := next(numbers):
            first = text + next(numbers)
            second = first + next(numbers)
            assert second <= len(message)
            kind, said = message[text:first].decode(), message[first:second].decode()
            text = second
            found.append((code, kind, said))
            continue
        outputs: dict[str, Any] = {}
        for name, tensor in wire.outputs.items():
            rank = next(numbers)
            if rank < 0:
                continue
            shape = tuple(next(numbers) for _ in range(rank))
            offset, length = next(numbers), next(numbers)
            assert 0 <= offset <= offset + length <= size
            if tensor.dtype != BYTES:
                assert length == int(np.prod(shape)) * tensor.numpy.itemsize
            outputs[name] = (shape, bytes(memory[offset : offset + length]))
        found.append(outputs)
    rest = list(numbers)
    assert len(rest) == 3 * len(REPORTED) + 1 + rest[len(REPORTED)] * len(wire.dims)
    return found
