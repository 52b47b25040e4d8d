"""Records in a history, as the native backend writes them."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from naiad.triton import history
from naiad.triton.history import History

SECOND = 1_000_000_000


@contextmanager
def kept(capacity: int) -> Iterator[History]:
    """Make a history of that many requests, for the time of a test."""
    ring = History.make(capacity)
    try:
        yield ring
    finally:
        ring.close()


def write(
    ring: History, *, id: str = "", trace: str = "", sampled: bool = True, **about: Any
) -> int:
    """Write the record of a request that is a second old and took 0.1 s; return its number."""
    name = id.encode()[:94]
    number = ring.total + 1
    arrived = time.monotonic_ns() - SECOND
    values: dict[str, Any] = {
        "number": number,
        "arrived": arrived,
        "taken": arrived + SECOND // 100,
        "sent": arrived + SECOND // 50,
        "received": arrived + SECOND // 12,
        "ended": arrived + SECOND // 10,
        "batch": 7,
        "spans": [(0, 0)] * 3 + [(arrived + SECOND // 25, arrived + SECOND // 20)] + [(0, 0)] * 2,
        "totals": [2, 30] + [0] * 14,
        "requests": 2,
        "merged": 1,
        "worker": 1,
        "pid": os.getpid(),
        "threads": 2,
        "sizes": [1, 10] + [0] * 14,
        "version": 3,
        "id": np.void(name.ljust(94, b"\0")),
        "id_size": len(name),
        "model": "net",
        "dims": "requests,nodes",
        "trace": np.void(bytes.fromhex(trace or "0" * 32)),
        "span": np.void(bytes.fromhex("00f067aa0ba902b7")),
        "traced": bool(trace),
        "flags": sampled,
        **about,
    }
    record = np.zeros(1, history._RECORD)
    for field, value in values.items():
        record[field][0] = value
    place = 4096 + (number - 1) % ring.capacity * record.itemsize
    file = os.open(ring.path, os.O_RDWR)
    try:
        os.pwrite(file, record.tobytes(), place)
        os.pwrite(file, struct.pack("=Q", number), 24)
    finally:
        os.close(file)
    return number
