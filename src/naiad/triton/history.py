"""The last requests of a server: a ring in shared memory that the native backend writes.

The memory is this process's, so it outlives Triton and its workers, takes no lock, and leaves no
file behind. ``native/history.h`` has the same layout. It has no payloads: of each request its id,
sizes, batch, worker and times.
"""

from __future__ import annotations

import mmap
import os
import re
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from naiad.errors import Unavailable
from naiad.runtime.wire import REPORTED

# Magic, layout, size of a record, capacity, and the numbers of requests and batches so far.
_HEADER: Final = struct.Struct("=8sIIQQQ")
_MAGIC, _LAYOUT, _START = b"naiadlog", 1, 4096
_DIMS = 16
_RECORD: Final = np.dtype(
    [
        ("number", "u8"),
        *((name, "i8") for name in ("arrived", "taken", "sent", "received", "ended", "batch")),
        ("spans", "i8", (len(REPORTED), 2)),
        ("totals", "i8", _DIMS),
        *((name, "i4") for name in ("requests", "merged", "worker", "pid")),
        ("sizes", "i8", _DIMS),
        ("version", "u8"),
        ("code", "i4"),
        ("id_size", "u2"),
        ("threads", "u2"),
        ("trace", "V16"),
        ("span", "V8"),
        ("traced", "u1"),
        ("flags", "u1"),
        ("id", "V94"),
        ("model", "S64"),
        ("kind", "S32"),
        ("dims", "S176"),
    ]
)
_LONGEST_ID = 94  # bytes
_INVALID_ARG = 3  # TRITONSERVER_ERROR_INVALID_ARG

PROBE: Final = "naiad-probe"
"""Id of the server's own requests, which are neither listed nor traced."""

_TRACE: Final = re.compile("[0-9a-f]{32}")

STAGES: Final = ("queue", "send", *REPORTED[1:], "reply")
"""Stages of a request. ``send`` is the copy to the worker; ``reply`` that of the answer, in which
the native backend also splits merged results."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of a request: its name, and its begin and end in seconds from the arrival."""

    name: str
    began: float
    ended: float


@dataclass(frozen=True, slots=True)
class RequestBatch:
    """The requests that a worker answered together.

    Attributes:
        number: of this server, from 1.
        requests: their number, this one included.
        merged: number of merged batches that they were run as; more than 1 if they did not fit the
            budget after ``prepare``, or one of them failed.
        rows: in all of them, by dimension.
        worker: its number among the model's, from 0.
        pid: its process.
        threads: number that the batch could use.
    """

    number: int
    requests: int
    merged: int
    rows: Mapping[str, int]
    worker: int
    pid: int
    threads: int


@dataclass(frozen=True, slots=True)
class PastRequest:
    """A request that was answered or refused.

    Attributes:
        number: of this server, from 1, in the order in which they ended.
        id: the client's, cut to 94 bytes; "" if it gave none.
        model: its name.
        version: the model's.
        arrived: seconds since 1970.
        seconds: from arrival to answer.
        error: Naiad's class of the error that answered it, or "".
        trace: the client's trace, 32 hexadecimal digits, or "".
        span: the client's span, 16 hexadecimal digits, or "".
        sampled: True if the client samples its trace.
        rows: of this request by dimension, as it was sent.
        batch: the requests that it was answered with; None if it did not reach a worker or its
            worker was lost.
        stages: those that it has been through. Those after ``queue`` are of its batch.
    """

    number: int
    id: str
    model: str
    version: int
    arrived: float
    seconds: float
    error: str
    trace: str
    span: str
    sampled: bool
    rows: Mapping[str, int]
    batch: RequestBatch | None
    stages: Sequence[Stage]


@dataclass(frozen=True, slots=True)
class Found:
    """Requests that were looked for.

    Attributes:
        requests: oldest first.
        total: number of requests that the server has answered or refused.
        kept: number of them in the history.
        since: arrival of the oldest of these, in seconds since 1970, or None.
    """

    requests: Sequence[PastRequest]
    total: int
    kept: int
    since: float | None


class History:
    """The ring, as its owner or another process maps it."""

    def __init__(self, descriptor: int) -> None:
        """Map a ring; take the descriptor over.

        Raises:
            Unavailable: another Naiad made it.
        """
        self._descriptor = descriptor
        self._memory = mmap.mmap(descriptor, 0, prot=mmap.PROT_READ)
        magic, layout, size, self.capacity, _, _ = _HEADER.unpack_from(self._memory)
        if (magic, layout, size) != (_MAGIC, _LAYOUT, _RECORD.itemsize):
            self.close()
            raise Unavailable("the server's history is of another version of Naiad")

    @classmethod
    def make(cls, capacity: int) -> History:
        """Make a ring of the last ``capacity`` requests."""
        descriptor = os.memfd_create("naiad-history", os.MFD_CLOEXEC)
        os.ftruncate(descriptor, _START + capacity * _RECORD.itemsize)
        os.pwrite(descriptor, _HEADER.pack(_MAGIC, _LAYOUT, _RECORD.itemsize, capacity, 0, 0), 0)
        return cls(descriptor)

    @classmethod
    def open(cls, path: str | Path) -> History:
        """Map the ring of another process of this user.

        Raises:
            Unavailable: the process has ended, or is of another user or Naiad.
        """
        try:
            return cls(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        except (OSError, ValueError) as error:
            raise Unavailable(f"the server's history cannot be read: {error}") from None

    @property
    def path(self) -> str:
        """Path by which this user's processes open it as long as this one lives."""
        return f"/proc/{os.getpid()}/fd/{self._descriptor}"

    @property
    def total(self) -> int:
        """Number of requests that the server has answered or refused."""
        return _HEADER.unpack_from(self._memory)[4]

    def close(self) -> None:
        """Unmap it; the memory is freed with the last process that maps it."""
        self._memory.close()
        os.close(self._descriptor)

    def records(self, after: int = 0) -> NDArray[Any]:
        """Return a copy of the records with a number above ``after``, in order."""
        total = self.total
        first = max(after, total - self.capacity)
        wanted = np.arange(first, total) % self.capacity
        memory = np.frombuffer(self._memory, _RECORD, self.capacity, _START)
        before = memory["number"][wanted]
        found = memory[wanted]
        # One may be written while it is copied, or not be written yet.
        whole = (before == memory["number"][wanted]) & (found["number"] > after)
        del memory
        found = found[whole]
        return found[np.argsort(found["number"])]

    def find(self, wanted: str) -> Found:
        """Find requests by their id, by the trace that they are of, or by ``#NUMBER``."""
        records = self.records()
        return self._found(records, records[_matches(records, wanted)])

    def last(self, count: int = 1) -> Found:
        """Find the last requests, without the server's own probes."""
        records = self.records()
        others = records[~has_id(records, PROBE)]
        return self._found(records, others[max(0, len(others) - count) :])

    def _found(self, records: NDArray[Any], chosen: NDArray[Any]) -> Found:
        oldest = next(read_records(records[:1]), None)
        since = None if oldest is None else oldest.arrived
        return Found([*read_records(chosen)], self.total, len(records), since)


def read_records(records: NDArray[Any]) -> Iterator[PastRequest]:
    """Yield the requests in records."""
    offset = time.time_ns() - time.monotonic_ns()
    for record in records:
        yield _read(record, offset)


def has_id(records: NDArray[Any], wanted: str) -> NDArray[np.bool_]:
    """Return which records have this id, or one that begins so if it was cut."""
    name = wanted.encode(errors="replace")[:_LONGEST_ID]
    ids = records["id"].view(f"S{_LONGEST_ID}") if len(records) else np.empty(0, "S1")
    return (records["id_size"] == len(name)) & (ids == name)


def _matches(records: NDArray[Any], wanted: str) -> NDArray[np.bool_]:
    found = has_id(records, wanted)
    if _TRACE.fullmatch(wanted):
        trace = np.void(bytes.fromhex(wanted))
        found |= (records["trace"] == trace) & (records["traced"] > 0)
    if wanted.startswith("#") and wanted[1:].isdecimal():
        found |= records["number"] == int(wanted[1:])
    return found


def _read(record: Any, offset: int) -> PastRequest:
    arrived = int(record["arrived"])
    dims = [name for name in record["dims"].decode().split(",") if name][:_DIMS]
    traced = bool(record["traced"])
    return PastRequest(
        number=int(record["number"]),
        id=bytes(record["id"])[: int(record["id_size"])].decode(errors="replace"),
        model=record["model"].decode(errors="replace"),
        version=int(record["version"]),
        arrived=(arrived + offset) * 1e-9,
        seconds=(int(record["ended"]) - arrived) * 1e-9,
        error=record["kind"].decode(errors="replace"),
        trace=bytes(record["trace"]).hex() if traced else "",
        span=bytes(record["span"]).hex() if traced else "",
        sampled=traced and bool(record["flags"] & 1),
        rows=dict(zip(dims, record["sizes"].tolist(), strict=False)),
        batch=_batch(record, dims) if record["batch"] else None,
        stages=[*_stages(record, arrived)],
    )


def _batch(record: Any, dims: Sequence[str]) -> RequestBatch:
    return RequestBatch(
        number=int(record["batch"]),
        requests=int(record["requests"]),
        merged=int(record["merged"]),
        rows=dict(zip(dims, record["totals"].tolist(), strict=False)),
        worker=int(record["worker"]),
        pid=int(record["pid"]),
        threads=int(record["threads"]),
    )


def _stages(record: Any, arrived: int) -> Iterator[Stage]:
    spans: dict[str, list[int]] = dict(zip(REPORTED, record["spans"].tolist(), strict=True))
    taken, sent, received = (int(record[name]) for name in ("taken", "sent", "received"))
    # A request that was refused at once has not been queued.
    waited = taken or record["code"] != _INVALID_ARG
    spans["queue"] = [arrived if waited else 0, taken or int(record["ended"])]
    spans["send"] = [taken if sent else 0, max(taken, sent)]
    spans["reply"] = [received, int(record["ended"])]
    for name in STAGES:
        began, ended = spans[name]
        if began:
            # A worker may have begun others of the batch before this one arrived.
            began, ended = max(began, arrived), max(ended, arrived)
            yield Stage(name, (began - arrived) * 1e-9, (ended - arrived) * 1e-9)
