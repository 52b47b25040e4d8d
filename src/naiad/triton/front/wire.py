"""The messages between the front and its worker processes; ``contract.h`` is the other end.

A batch and its answer are each one message: the number of integers, the integers (64 bits,
native order), then text. Arrays lie in shared memory, each where the integers say::

    task    bytes in the inbox, requests, 0, and of each request: length of its id, length of its
            parameters (JSON), and of each input: rank (-1: left out), shape, offset, bytes
    or      bytes in the inbox, requests, 1, the size of each dimension in all requests together,
            the offset of each input, merged, and of each request its size of each dimension
    done    bytes in the outbox, requests, 0, and of each request: 0 and for each output rank (-1:
            left out), shape, offset, bytes; or an error's code, length of its class, of its text
    or      bytes in the outbox, requests, 1, and the offset of each output, merged
            then, in both, nanoseconds of each stage, batches, and of each its rows by dimension
    or      0, requests, 2: the merged requests are wanted in a task of the first kind

``BYTES`` tensors are as the KServe v2 protocol has them: each element behind its length, 32 bits.
"""

from __future__ import annotations

import json
import math
import mmap
import struct
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from naiad.errors import InvalidInput, NaiadError
from naiad.graph import Batch
from naiad.pipeline import Contract, Pipeline, Request
from naiad.runtime.runner import STAGES, Outcome, Report
from naiad.runtime.shared import Arena
from naiad.schema import (
    BYTES,
    REQUESTS,
    TRITON_NAMES,
    Array,
    Arrays,
    Schema,
    Tensor,
    sized_dims,
)
from naiad.triton.front.merging import can_be_merged
from naiad.triton.service_config import ServiceConfig

_CODES: Final = {"INTERNAL": 1, "NOT_FOUND": 2, "INVALID_ARG": 3, "UNAVAILABLE": 4}
_ORDER = (
    *("BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64"),
    *("FP16", "FP32", "FP64", "BYTES"),
)
_DTYPES: Final = {name: number for number, name in enumerate(_ORDER, start=1)}
"""``TRITONSERVER_DataType`` by the protocol's names."""

_APART, _MERGED, _WANTED_APART = range(3)
"""``Form`` in ``task.h``."""

_COUNT: Final = struct.Struct("=q")
_LENGTH: Final = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Wire:
    """Reads tasks and writes answers of one pipeline.

    Attributes:
        contract: the pipeline's.
        outputs: the pipeline's.
        dims: all named dimensions, ``requests`` first, and what tensors count.
        merges: whether the front may merge requests and split results.
    """

    contract: Contract
    outputs: Schema
    dims: tuple[str, ...]
    merges: bool

    @classmethod
    def of(cls, pipeline: type[Pipeline], contract: Contract | None = None) -> Wire:
        """The wire of a pipeline, or of one whose ``contract`` is not that of its class."""
        schemas = (pipeline.inputs, pipeline.sample)
        dims = dict.fromkeys([REQUESTS, *(d for schema in schemas for d in sized_dims(schema))])
        contract = contract or pipeline.contract()
        return cls(contract, dict(pipeline.outputs), tuple(dims), can_be_merged(pipeline))

    @property
    def inputs(self) -> Schema:
        """The pipeline's."""
        return self.contract.inputs

    def announced(self, config: ServiceConfig) -> str:
        """What the front must know, as JSON."""
        return json.dumps(
            {
                "dims": self.dims,
                "inputs": [self._port(name, tensor) for name, tensor in self.inputs.items()],
                "outputs": [self._port(name, tensor) for name, tensor in self.outputs.items()],
                "merges": self.merges,
                "stages": STAGES,
                "limit": dict(self.contract.limit),
                "budget": dict(self.contract.budget),
                "waiting": dict(self.contract.waiting),
                "watchdog": config.watchdog,
                "queue_capacity": config.queue_capacity,
                "max_queue_delay": config.max_queue_delay,
            }
        )

    def read(self, message: bytes, inbox: Arena) -> Batch | list[Request | InvalidInput]:
        """The requests of a task, merged or each by itself.

        An error stands in the place of a request that the schema does not allow; of merged ones
        only indices are checked.
        """
        (count,) = _COUNT.unpack_from(message)
        table = np.frombuffer(message, np.int64, count, _COUNT.size)
        size, requests, form = table[:3].tolist()
        memory = inbox.reserve(size)
        if form == _MERGED:
            return self._batch(table[3:], requests, memory)
        numbers = iter(table[3:].tolist())
        text = _COUNT.size + table.nbytes
        found: list[Request | InvalidInput] = []
        for _ in range(requests):
            end = text + next(numbers)
            name, text = message[text:end].decode(), end
            end = text + next(numbers)
            parameters, text = message[text:end], end
            places: dict[str, tuple[tuple[int, ...], int, int]] = {}
            for key in self.inputs:
                rank = next(numbers)
                if rank < 0:
                    continue
                shape = tuple(next(numbers) for _ in range(rank))
                places[key] = (shape, next(numbers), next(numbers))
            try:
                arrays = {key: self._view(key, memory, *place) for key, place in places.items()}
            except InvalidInput as error:
                found.append(error)
            else:
                known = json.loads(parameters) if parameters else {}
                found.append(self.request(arrays, name, known))
        return found

    def _batch(self, table: NDArray[np.int64], requests: int, memory: mmap.mmap) -> Batch:
        first, second = len(self.dims), len(self.dims) + len(self.inputs)
        totals = dict(zip(self.dims, table[:first].tolist(), strict=True))
        sizes = dict(zip(self.dims, table[second:].reshape(requests, first).T, strict=True))
        arrays: dict[str, Array] = {}
        for (name, tensor), offset in zip(
            self.inputs.items(), table[first:second].tolist(), strict=True
        ):
            shape = [totals[dim] if isinstance(dim, str) else dim for dim in tensor.dims]
            if tensor.axis is None:
                shape.insert(0, requests)
            arrays[name] = np.ndarray(shape, tensor.numpy, memory, offset)
        return Batch(arrays, sizes, requests, totals=totals)

    def request(
        self, arrays: Arrays, name: str = "", parameters: Mapping[str, Any] | None = None
    ) -> Request | InvalidInput:
        """A request, checked; or what is wrong with it."""
        try:
            return self.contract.request(arrays, name, parameters or {})
        except InvalidInput as error:
            return error

    def _view(
        self, name: str, memory: mmap.mmap, shape: tuple[int, ...], offset: int, size: int
    ) -> Array:
        tensor = self.inputs[name]
        if tensor.dtype == BYTES:
            try:
                return _read_bytes(memoryview(memory)[offset : offset + size], shape)
            except InvalidInput as error:
                raise InvalidInput(f"{name}: {error}") from None
        if not size:
            return np.empty(shape, tensor.numpy)
        view = np.ndarray(shape, tensor.numpy, memory, offset)
        view.flags.writeable = False
        return view

    def write(self, reading: list[Request | InvalidInput], report: Report, outbox: Arena) -> bytes:
        """The answer to a task: what ``report`` says of those of its requests that could be read.

        The arrays are written to the outbox.
        """
        ran = iter(report.outcomes)
        outcomes: list[Outcome] = [
            one if isinstance(one, InvalidInput) else next(ran) for one in reading
        ]
        layout = outbox.write([self._plain(outcome) for outcome in outcomes])
        numbers = [layout.size, len(outcomes), _APART]
        text: list[bytes] = []
        for outcome, blocks in zip(outcomes, layout.items, strict=True):
            if isinstance(outcome, NaiadError):
                said = (type(outcome).__name__.encode(), str(outcome).encode())
                numbers += (_CODES.get(outcome.code, 1), *map(len, said))
                text += said
                continue
            numbers.append(0)
            for name in self.outputs:
                if name not in outcome:
                    numbers.append(-1)
                    continue
                shape = outcome[name].shape
                _, (size,), offset, _ = blocks[name]
                numbers += (len(shape), *shape, offset, size)
        return self._packed(numbers, report, text)

    def write_merged(self, arrays: Arrays, report: Report, outbox: Arena) -> bytes:
        """The answer to a merged task, whose ``arrays`` the front will split."""
        layout = outbox.write([arrays])
        numbers = [layout.size, len(report.outcomes), _MERGED]
        numbers += (layout.items[0][name][2] for name in self.outputs)
        return self._packed(numbers, report, [])

    def want_apart(self, batch: Batch) -> bytes:
        """The answer to a merged task whose requests must be run by themselves."""
        return _message([0, batch.requests, _WANTED_APART])

    def _packed(self, numbers: list[int], report: Report, text: list[bytes]) -> bytes:
        numbers += (int(1e9 * seconds) for seconds in report.seconds.values())
        numbers.append(len(report.batches))
        for batch in report.batches:
            numbers += (batch.get(dim, 0) for dim in self.dims)
        return _message(numbers, text)

    def _plain(self, outcome: Outcome) -> dict[str, Array]:
        """The outputs as the bytes that travel."""
        if isinstance(outcome, NaiadError):
            return {}
        return {
            name: _write_bytes(value)
            if value.dtype == object
            else np.ascontiguousarray(value).reshape(-1).view(np.uint8)
            for name, value in outcome.items()
        }

    def _port(self, name: str, tensor: Tensor) -> dict[str, Any]:
        places = {dim: place for place, dim in enumerate(self.dims)}
        return {
            "name": name,
            "dtype": _DTYPES[TRITON_NAMES[tensor.dtype]],
            "dims": [places.get(dim, -1) if isinstance(dim, str) else -1 for dim in tensor.dims],
            "sizes": [0 if isinstance(dim, str) else dim for dim in tensor.dims],
            "axis": -1 if tensor.axis is None else tensor.axis,
            "targets": [places[target] for target in tensor.index_targets()],
            "itemsize": tensor.numpy.itemsize,
            "counts": places.get(tensor.counts, -1),
        }


def _message(numbers: Sequence[int], text: Iterable[bytes] = ()) -> bytes:
    return b"".join([_COUNT.pack(len(numbers)), array("q", numbers).tobytes(), *text])


def _read_bytes(data: memoryview, shape: tuple[int, ...]) -> Array:
    """An object array of bytes, from their form in the protocol, which the front has not read.

    Raises:
        InvalidInput: it is not of that form.
    """
    flat = np.empty(math.prod(shape), dtype=object)
    at = 0
    try:
        for number in range(len(flat)):
            (length,) = _LENGTH.unpack_from(data, at)
            at += _LENGTH.size
            if length > len(data) - at:
                raise InvalidInput(f"element {number} of {len(flat)} is longer than what was sent")
            flat[number] = bytes(data[at : at + length])
            at += length
    except struct.error:
        raise InvalidInput(f"there are fewer than {len(flat)} elements") from None
    if at != len(data):
        raise InvalidInput(f"there are more than {len(flat)} elements")
    return flat.reshape(shape)


def _write_bytes(values: Array) -> Array:
    parts = (part for value in values.flat for part in (_LENGTH.pack(len(value)), value))
    return np.frombuffer(b"".join(parts), np.uint8)
