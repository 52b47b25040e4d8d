"""Requests that wait for a worker: memory of each, and the cost of answering them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from benchmarks.growth.clients import target_of
from benchmarks.growth.curve import CONSTANT, Curve, Effort, Point, Series
from benchmarks.growth.held import GATE, Held
from benchmarks.growth.memory import cpu_seconds

import naiad
from naiad.bench.measure import run
from naiad.triton.memory import occupied, proportional_size
from naiad.triton.server import Server

_PULSE = 0.3
_STILL = 1e6  # bytes; the server has all requests once it no longer grows


def measure(sizes: Sequence[int], effort: Effort) -> Iterator[Point]:
    free = {"http_port": 0, "grpc_port": 0, "metrics_port": 0}
    with TemporaryDirectory() as folder:
        gate = Path(folder) / "gate"
        settings = {GATE: str(gate)}
        with naiad.serve(Held, instances=1, settings=settings, **free) as server:
            for _ in range(effort.runs):
                for size in sizes:
                    for name, value in run(wait(server, gate, size)).items():
                        yield name, size, value


async def wait(server: Server, gate: Path, number: int) -> dict[str, float]:
    """Have requests wait, then answer them."""
    assert server.pid is not None
    target = target_of(server, Held.name, [{"x": np.ones(256, np.float32)}])
    await target.send(0)
    before, own = occupied(server.pid), proportional_size(os.getpid())
    gate.touch()
    asked = [asyncio.create_task(target.send(0)) for _ in range(number)]
    try:
        theirs = await settled(server.pid)
        ours = proportional_size(os.getpid())
        busy = cpu_seconds(server.pid)
    finally:
        gate.unlink()
    sizes = await asyncio.gather(*asked)
    if {received for _, received in sizes} != {4 * 256}:
        raise RuntimeError("answers are not what was sent")
    busy = cpu_seconds(server.pid) - busy
    await target.close()
    return {
        "memory of the server for each": (theirs - before) / number / 1e3,
        "memory of the client for each": (ours - own) / number / 1e3,
        "CPU of the server to answer each": 1e6 * busy / number,
    }


async def settled(pid: int) -> int:
    """Return the memory of a server once it does not grow."""
    before, now = -_STILL, occupied(pid)
    while abs(now - before) >= _STILL:
        await asyncio.sleep(_PULSE)
        before, now = now, occupied(pid)
    return now


CURVE = Curve(
    name="waiting",
    title="Waiting requests (1 KB each)",
    size="requests",
    sizes=(1, 10, 100, 1_000, 10_000, 100_000),
    series=(
        Series("memory of the server for each", "KB", CONSTANT),
        Series("memory of the client for each", "KB", CONSTANT),
        Series("CPU of the server to answer each", "us", CONSTANT),
    ),
    measure=measure,
    tiny=(10, 100),
    memory=lambda requests: 50_000 * requests,
    note="By default a queue refuses more than 10,000; here it takes a million.",
)
