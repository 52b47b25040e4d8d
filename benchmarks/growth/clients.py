"""Clients at once, each of which waits for its answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from benchmarks.growth.curve import CONSTANT, LINEAR, Curve, Effort, Point, Series
from benchmarks.nugraph3.inputs import simulated
from benchmarks.nugraph3.speed import Moment, Speed, speed
from benchmarks.overhead.__main__ import ECHO

import naiad
from naiad.bench.measure import run
from naiad.bench.target import Target
from naiad.client.address import Address
from naiad.client.spec import ModelSpec
from naiad.core.schema import Arrays
from naiad.triton.server import Server

_VALUES = 256  # of an echo: 1 KB
_MODELS = ("echo", "nugraph3")


def measure(sizes: Sequence[int], effort: Effort) -> Iterator[Point]:
    requests: dict[str, list[Arrays]] = {
        "echo": [{"x": np.arange(_VALUES, dtype=np.float32)}],
        "nugraph3": list(simulated("small", 16).requests),
    }
    free = {"http_port": 0, "grpc_port": 0, "metrics_port": 0}
    with naiad.serve(f"{ECHO}:Echo", "nugraph3", **free) as server:
        for _ in range(effort.runs):
            for size in sizes:
                for model in _MODELS:
                    found = run(under_load(server, model, requests[model], size, effort))
                    yield f"{model}: answers", size, found.throughput
                    yield f"{model}: p50", size, 1e3 * found.p50
                    yield f"{model}: p99", size, 1e3 * found.p99
                    yield f"{model}: CPU of the server", size, 1e6 * found.server_cpu
                    yield f"{model}: CPU of the clients", size, 1e6 * found.generator_cpu


async def under_load(
    server: Server, model: str, requests: Sequence[Arrays], clients: int, effort: Effort
) -> Speed:
    """Measure a model with this number of clients."""
    target = target_of(server, model, requests)
    try:
        moment = Moment(effort.seconds / 6, effort.seconds)
        return await speed(target, clients, moment, server=server.pid)
    finally:
        await target.close()


def target_of(server: Server, model: str, requests: Sequence[Arrays]) -> Target:
    """Return a sender of requests to a model, of which one was answered."""
    with server.client() as client:
        spec = ModelSpec.from_config(client.config(model))
        answer = client.infer(model, requests[0])
    if model != "nugraph3":
        np.testing.assert_array_equal(answer["y"], requests[0]["x"])
    return Target(Address.parse(server.grpc_url), spec, requests, timeout=300.0)


CURVE = Curve(
    name="clients",
    title="Clients (an echo of 1 KB, and NuGraph3's small events)",
    size="clients",
    sizes=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512),
    series=tuple(
        Series(f"{model}: {name}", unit, most)
        for model in _MODELS
        for name, unit, most in (
            ("answers", "1/s", None),
            ("p50", "ms", LINEAR),
            ("p99", "ms", LINEAR),
            ("CPU of the server", "us", CONSTANT),
            ("CPU of the clients", "us", CONSTANT),
        )
    ),
    measure=measure,
    tiny=(1, 4),
    note="CPU time is per answer. The clients share the cores with the server.",
)
