"""Models in one server: memory, start, and how much a loaded one disturbs the others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from benchmarks.growth.clients import target_of
from benchmarks.growth.curve import CONSTANT, LINEAR, Curve, Effort, Point, Series
from benchmarks.growth.memory import cpu_seconds
from benchmarks.nugraph3.speed import Moment, Speed, speed
from benchmarks.overhead.__main__ import ECHO

import naiad
from naiad.bench.measure import run
from naiad.triton.memory import occupied
from naiad.triton.server import Server

_CLIENTS = 8  # of the loaded model


def measure(sizes: Sequence[int], effort: Effort) -> Iterator[Point]:
    for _ in range(effort.runs):
        for size in sizes:
            began = time.perf_counter()
            with serving(size) as server:
                assert server.pid is not None
                yield "start", size, time.perf_counter() - began
                yield "CPU to start", size, cpu_seconds(server.pid)
                yield "memory", size, occupied(server.pid) / 1e6
                idle = cpu_seconds(server.pid)
                time.sleep(effort.seconds)
                idle = cpu_seconds(server.pid) - idle
                yield "CPU while idle", size, 1e3 * idle / effort.seconds
                moment = Moment(effort.seconds / 6, effort.seconds)
                loaded, other = run(beside(server, size, moment))
                yield "CPU of a loaded model", size, 1e6 * loaded.server_cpu
                if other is not None:
                    yield "p50 of another beside it", size, 1e3 * other.p50


@contextmanager
def serving(models: int) -> Iterator[Server]:
    """Serve echoes under different names, each with one worker."""
    with TemporaryDirectory() as folder:
        names: list[str] = []
        for number in range(models):
            path = Path(folder) / f"echo{number}.py"
            path.write_text(ECHO.read_text().replace("class Echo(", f"class Echo{number}("))
            names.append(f"{path}:Echo{number}")
        free = {"http_port": 0, "grpc_port": 0, "metrics_port": 0}
        with naiad.serve(*names, instances=1, **free) as server:
            yield server


async def beside(server: Server, models: int, moment: Moment) -> tuple[Speed, Speed | None]:
    """Measure a loaded model alone, and another, with one client, beside it."""
    arrays = [{"x": np.arange(256, dtype=np.float32)}]
    targets = [target_of(server, name, arrays) for name in sorted(server.models)[:2]]
    try:
        alone = await speed(targets[0], _CLIENTS, moment, server=server.pid)
        if models == 1:
            return alone, None
        together = (speed(targets[0], _CLIENTS, moment), speed(targets[1], 1, moment))
        return alone, (await asyncio.gather(*together))[1]
    finally:
        for target in targets:
            await target.close()


CURVE = Curve(
    name="models",
    title="Models in one server (echoes of 1 KB, with one worker each)",
    size="models",
    sizes=(1, 2, 5, 10, 20, 50),
    series=(
        Series("memory", "MB", LINEAR),
        Series("start", "s", LINEAR),
        Series("CPU to start", "s", LINEAR),
        Series("CPU while idle", "ms/s", LINEAR),
        Series("CPU of a loaded model", "us", CONSTANT),
        Series("p50 of another beside it", "ms", CONSTANT),
    ),
    measure=measure,
    tiny=(1, 2),
    memory=lambda models: 60e6 * models,
    note=f"The CPU time is per answer of a model with {_CLIENTS} clients while the others are "
    "idle; then one of these also has a client.",
)
