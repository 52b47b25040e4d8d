"""Messages between the native backend and its workers; ``contract.h`` is the other end.

A batch and its answer are each one message: the number of integers, the integers (64 bits,
native order), then text. Arrays are in shared memory, at offsets that the integers give::

    task    bytes in the inbox, requests, 0, threads, and per request: 1 if the native backend has
            checked its values (see ``merging.unchecked``), its size of each dimension, length of
            its id, length of its parameters (JSON), and per input: rank (-1: omitted), shape,
            offset, bytes
    or      bytes in the inbox, requests, 3, threads, the offset of one byte per request, then as
            with 0: for a model whose requests are prepared beside ``forward``
    or      bytes in the inbox, requests, 1, threads, the total size of each dimension, offset and
            bytes of each merged input, and per request its size of each dimension
    done    bytes in the outbox, requests, 0, and per request: 0 and per output rank (-1:
            omitted), shape, offset, bytes; or an error's code, length of its class, of its text
    or      bytes in the outbox, requests, 1, and the offset of each merged output: for merged
            requests, if the native backend may split results
            then, in both, nanoseconds of each stage, batches, and per batch its rows by
            dimension, and of each stage when it first began and last ended (0: it did not), in
            nanoseconds of the monotonic clock
    or      0, requests, 2: send the merged requests again as a task of the first kind

Tasks with 3 get answers of the first kind for any number of requests, in order, and an empty
message per task once all of it is prepared and more may be sent. The byte of a request is 0 until
the native backend has answered it or the worker has begun to run it.

``BYTES`` tensors are as in the KServe v2 protocol: each element follows its length, 32 bits.
"""

from __future__ import annotations

import json
import math
import mmap
import struct
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from naiad.core.merging import Batch
from naiad.core.pipeline import Contract, Pipeline, Request
from naiad.core.schema import (
    BYTES,
    REQUESTS,
    TRITON_NAMES,
    Array,
    Arrays,
    Schema,
    Tensor,
    check_values,
    sized_dims,
)
from naiad.error_text import described, kind_of, message_of
from naiad.errors import InvalidInput, NaiadError, PipelineError
from naiad.runtime.merging import can_be_merged, can_be_split, checked_range, unchecked
from naiad.runtime.runner import STAGES, Outcome, Report
from naiad.runtime.shared import Arena
from naiad.runtime.spec import ServiceConfig

PROTOCOL: Final = 8
"""The version of these messages; ``kProtocol`` in ``contract.h``."""

_CODES: Final = {"INTERNAL": 1, "NOT_FOUND": 2, "INVALID_ARG": 3, "UNAVAILABLE": 4}
_ORDER = (
    *("BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64"),
    *("FP16", "FP32", "FP64", "BYTES"),
)
_DTYPES: Final = {name: number for number, name in enumerate(_ORDER, start=1)}
"""``TRITONSERVER_DataType`` by the protocol's names."""

REPORTED: Final = ("queue", *STAGES)
"""Stages whose times an answer has; prepared requests may also queue in a worker."""

MORE: Final = b""
"""Message that a task is prepared."""

_APART, _MERGED, _WANTED_APART, _AHEAD = range(4)
"""``Form`` in ``task.h``."""

_HEAD: Final = 4  # integers that all tasks begin with
_BEGUN: Final = 2

_Place: TypeAlias = "tuple[tuple[int, ...], int, int]"
"""Shape, offset and bytes of an array in the inbox."""

_COUNT: Final = struct.Struct("=q")
_LENGTH: Final = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Wire:
    """Reader of tasks and writer of answers for one pipeline.

    Attributes:
        contract: the pipeline's.
        outputs: the pipeline's.
        dims: all named dimensions, ``requests`` first, and the tensors' ``counts``.
        given: places in ``dims`` of those that the inputs have.
        unchecked: inputs with values that the native backend does not check.
        merges: True if the native backend may merge requests.
        splits: True if it may split the results of merged ones.
    """

    contract: Contract
    outputs: Schema
    dims: tuple[str, ...]
    given: tuple[int, ...]
    unchecked: Schema
    merges: bool
    splits: bool

    @classmethod
    def of(cls, pipeline: type[Pipeline], contract: Contract | None = None) -> Wire:
        """Make the wire of a pipeline, with ``contract`` if it differs from its class's."""
        schemas = (pipeline.inputs, pipeline.sample)
        dims = dict.fromkeys([REQUESTS, *(d for schema in schemas for d in sized_dims(schema))])
        own = {REQUESTS, *sized_dims(pipeline.inputs)}
        return cls(
            contract or pipeline.contract(),
            dict(pipeline.outputs),
            tuple(dims),
            tuple(place for place, dim in enumerate(dims) if dim in own),
            unchecked(pipeline.inputs),
            can_be_merged(pipeline),
            can_be_split(pipeline),
        )

    @property
    def inputs(self) -> Schema:
        """The pipeline's inputs."""
        return self.contract.inputs

    def announced(
        self, config: ServiceConfig, *, ahead: bool = False, most_threads: int | None = None
    ) -> str:
        """Return the description of the model for the native backend, as JSON.

        ``ahead``: requests are prepared beside ``forward``. ``most_threads``: those that a batch
        may have if cores idle; by default as few as any.
        """
        return json.dumps(
            {
                "dims": self.dims,
                "inputs": [self._port(name, tensor) for name, tensor in self.inputs.items()],
                "outputs": [self._port(name, tensor) for name, tensor in self.outputs.items()],
                "merges": self.merges,
                "splits": self.splits,
                "ahead": ahead,
                "stages": REPORTED,
                "limit": dict(self.contract.limit),
                "budget": dict(self.contract.budget),
                "waiting": dict(self.contract.waiting),
                **asdict(config.service),
                "threads": config.spec.threads,
                "most_threads": most_threads or config.spec.threads,
                "cost": config.cost and config.cost.to_json(),
            }
        )

    def read(self, message: bytes, inbox: Arena) -> Batch | list[Request | NaiadError]:
        """Read the requests of a task, merged or separate.

        A request that is malformed or violates the schema is replaced by an error; merged ones were
        checked by the native backend.
        """
        table = _numbers(message)
        size, requests, form, _ = table[:_HEAD].tolist()
        if not inbox.holds(size):  # the writer must allocate it
            raise PipelineError(f"a task of {size} bytes is larger than its inbox")
        memory = inbox.reserve(size)
        if form == _MERGED:
            return self._batch(table[_HEAD:], requests, memory)
        numbers, at = table.tolist(), _HEAD + (form == _AHEAD)
        text = _COUNT.size + table.nbytes
        found: list[Request | NaiadError] = []
        for _ in range(requests):
            checked, at = numbers[at], at + 1
            sizes = {self.dims[place]: numbers[at + place] for place in self.given}
            at += len(self.dims)
            middle = text + numbers[at]
            end = middle + numbers[at + 1]
            at += 2
            places: dict[str, _Place] = {}
            for key in self.inputs:
                rank = numbers[at]
                at += 1
                if rank >= 0:
                    ends = at + rank
                    places[key] = (tuple(numbers[at:ends]), numbers[ends], numbers[ends + 1])
                    at = ends + 2
            name, parameters = message[text:middle], message[middle:end]
            known = sizes if checked and len(places) == len(self.inputs) else None
            found.append(self._one(name, parameters, places, known, memory))
            text = end
        return found

    def claims(self, message: bytes, inbox: Arena) -> list[Claim]:
        """Return the claim of each request in a task with 3."""
        _, requests, form, _, start = _numbers(message)[: _HEAD + 1].tolist()
        memory = inbox.reserve(0)
        if form != _AHEAD or not 0 <= start <= start + requests <= len(memory):
            raise PipelineError(f"a task has no claim bytes for its {requests} requests")
        return [Claim(memory, start + number) for number in range(requests)]

    def _one(
        self,
        name: bytes,
        parameters: bytes,
        places: Mapping[str, _Place],
        sizes: Mapping[str, int] | None,
        memory: mmap.mmap,
    ) -> Request | NaiadError:
        """Return a request. ``sizes`` are those of a complete one that was checked before."""
        try:
            arrays = {key: self._view(key, memory, *place) for key, place in places.items()}
            known = json.loads(parameters) if parameters else {}
            if sizes is None:
                return self.contract.request(arrays, name.decode(), known)
            for key, tensor in self.unchecked.items():
                check_values(key, tensor, arrays[key], sizes)
            return Request(arrays, sizes, name.decode(), known)
        except InvalidInput as error:
            return error
        except UnicodeDecodeError:
            return InvalidInput(f"the request id {name!r} or a parameter is not valid UTF-8")
        except Exception as error:  # fails this request only
            return PipelineError(f"the request could not be read: {described(error)}")

    def _batch(self, table: NDArray[np.int64], requests: int, memory: mmap.mmap) -> Batch:
        first, second = len(self.dims), len(self.dims) + 2 * len(self.inputs)
        totals = dict(zip(self.dims, table[:first].tolist(), strict=True))
        sizes = dict(zip(self.dims, table[second:].reshape(requests, first).T, strict=True))
        arrays: dict[str, Array] = {}
        places = table[first:second].reshape(-1, 2).tolist()
        for (name, tensor), (offset, size) in zip(self.inputs.items(), places, strict=True):
            shape = [totals[dim] if isinstance(dim, str) else dim for dim in tensor.dims]
            if tensor.axis is None:
                shape.insert(0, requests)
            if tensor.dtype == BYTES:
                raw = memoryview(memory)[offset : offset + size]
                arrays[name] = _read_bytes(raw, tuple(shape))
            else:
                arrays[name] = np.ndarray(shape, tensor.numpy, memory, offset)
        return Batch(arrays, sizes, requests, totals=totals)

    def _view(
        self, name: str, memory: mmap.mmap, shape: tuple[int, ...], offset: int, size: int
    ) -> Array:
        tensor = self.inputs[name]
        if not (0 <= offset <= len(memory) and 0 <= size <= len(memory) - offset):
            raise InvalidInput(f"{name} is outside of shared memory")
        if tensor.dtype == BYTES:
            try:
                return _read_bytes(memoryview(memory)[offset : offset + size], shape)
            except InvalidInput as error:
                raise InvalidInput(f"{name}: {error}") from None
        if size != math.prod(shape) * tensor.numpy.itemsize:
            raise InvalidInput(
                f"{name} has {size} bytes, which is wrong for {tensor.dtype} {list(shape)}"
            )
        if not size:
            return np.empty(shape, tensor.numpy)
        return np.ndarray(shape, tensor.numpy, memory, offset)

    def threads(self, message: bytes) -> int:
        """Return the number of threads that a task may use."""
        return int(_numbers(message)[3])

    def requests(self, message: bytes) -> int:
        """Return the number of requests in a task."""
        return int(_numbers(message)[1])

    def write(self, report: Report, outbox: Arena) -> bytes:
        """Return the answer to a task, and write its arrays to the outbox."""
        if report.merged is not None:
            layout = outbox.write([report.merged])
            places = (layout.offsets[0][name] for name in self.outputs)
            return self._packed([layout.size, len(report.outcomes), _MERGED, *places], report, [])
        outcomes: list[Outcome] = []
        plain: list[dict[str, Array]] = []
        for outcome in report.outcomes:
            try:
                arrays = {} if isinstance(outcome, NaiadError) else _plain(outcome)
            except Exception as error:
                outcome = PipelineError(f"the results could not be sent: {described(error)}")
                arrays = {}
            outcomes.append(outcome)
            plain.append(arrays)
        layout = outbox.write(plain)
        numbers = [layout.size, len(outcomes), _APART]
        text: list[bytes] = []
        for outcome, offsets, arrays in zip(outcomes, layout.offsets, plain, strict=True):
            if isinstance(outcome, NaiadError):
                _put_error(outcome, numbers, text)
                continue
            numbers.append(0)
            for name in self.outputs:
                if name not in outcome:
                    numbers.append(-1)
                    continue
                shape = outcome[name].shape
                numbers += (len(shape), *shape, offsets[name], arrays[name].nbytes)
        return self._packed(numbers, report, text)

    def want_apart(self, batch: Batch) -> bytes:
        """Return the answer to a merged task whose requests must be run one by one."""
        return _message([0, batch.requests, _WANTED_APART])

    def _packed(self, numbers: list[int], report: Report, text: list[bytes]) -> bytes:
        numbers += (int(1e9 * report.seconds.get(stage, 0)) for stage in REPORTED)
        numbers.append(len(report.batches))
        for batch in report.batches:
            numbers += (batch.get(dim, 0) for dim in self.dims)
        for stage in REPORTED:
            numbers += (int(1e9 * at) for at in report.spans.get(stage, (0, 0)))
        return _message(numbers, text)

    def _port(self, name: str, tensor: Tensor) -> dict[str, Any]:
        places = {dim: place for place, dim in enumerate(self.dims)}
        bounds = checked_range(tensor) or ()
        return {
            "name": name,
            "dtype": _DTYPES[TRITON_NAMES[tensor.dtype]],
            "dims": [places.get(dim, -1) if isinstance(dim, str) else -1 for dim in tensor.dims],
            "sizes": [0 if isinstance(dim, str) else dim for dim in tensor.dims],
            "axis": -1 if tensor.axis is None else tensor.axis,
            "targets": [places[target] for target in tensor.index_targets()],
            "range": [bound if isinstance(bound, int) else float(bound) for bound in bounds],
            "itemsize": tensor.numpy.itemsize,
            "counts": places.get(tensor.counts, -1),
            "optional": tensor.optional,
        }


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to run a request, unless nobody waits for it any more."""

    memory: mmap.mmap
    place: int

    def take(self) -> bool:
        """Return True if it may be run, and mark it as begun."""
        wanted = self.memory[self.place] == 0
        if wanted:
            self.memory[self.place] = _BEGUN
        return wanted


def _numbers(message: bytes) -> NDArray[np.int64]:
    (count,) = _COUNT.unpack_from(message)
    return np.frombuffer(message, np.int64, count, _COUNT.size)


def _plain(outcome: Arrays) -> dict[str, Array]:
    """Return the outputs, with object arrays as bytes to send."""
    return {
        name: _write_bytes(value) if value.dtype == object else value
        for name, value in outcome.items()
    }


def _put_error(error: NaiadError, numbers: list[int], text: list[bytes]) -> None:
    kind = kind_of(error)
    said = (kind.__name__.encode(), message_of(error).encode())
    numbers += (_CODES.get(kind.code, 1), *map(len, said))
    text += said


def _message(numbers: Sequence[int], text: Iterable[bytes] = ()) -> bytes:
    return b"".join([_COUNT.pack(len(numbers)), array("q", numbers).tobytes(), *text])


def _read_bytes(data: memoryview, shape: tuple[int, ...]) -> Array:
    """Read an object array of bytes from its form in the protocol, which is not trusted.

    Raises:
        InvalidInput: the data is malformed.
    """
    count = math.prod(shape)
    if not 0 <= count <= len(data) // _LENGTH.size:  # checked before anything is allocated
        raise InvalidInput(f"there are fewer than {count} elements")
    flat = np.empty(count, dtype=object)
    at = 0
    try:
        for number in range(len(flat)):
            (length,) = _LENGTH.unpack_from(data, at)
            at += _LENGTH.size
            if length > len(data) - at:
                raise InvalidInput(f"element {number} of {len(flat)} is longer than the data sent")
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
