"""NuGraph3 by hits of an event: in this process, and through the server."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence

import numpy as np
from benchmarks.growth.curve import LINEAR, Curve, Effort, Point, Series
from benchmarks.growth.memory import Peak, cpu_seconds, workers
from benchmarks.nugraph3.answers import largest_difference

import naiad
from naiad.applications.nugraph.schema import INPUTS, PLANES
from naiad.applications.nugraph.simulate import simulate
from naiad.core.pipeline import Request
from naiad.core.schema import Arrays, validate
from naiad.errors import NaiadError
from naiad.runtime.runner import Runner
from naiad.runtime.spec import Spec
from naiad.runtime.worker import load

_REPEATED = 3_000  # hits in all, at least, for each measurement
_WIRES, _TICKS, _ABREAST = 3_456, 6_400, 9  # of one event, and events side by side

# Instructions of Delaunay(..., "QJ") in valgrind, without the start: 104 million for 3,000 points
# of one plane and 697 million for 30,000.
_QHULL = "Qhull's instructions are proportional to the hits, but its memory outgrows the caches"


def event_of(hits: int) -> Arrays:
    """Make an event of this number of hits: simulated ones side by side, of which some are kept."""
    pool = [event.arrays() for event in simulate(16, seed=1, size="large")]
    parts: list[Arrays] = []
    shift = total = 0
    while total < hits:
        number = len(parts)
        part = {name: array.copy() for name, array in pool[number % len(pool)].items()}
        shift_hits(part, shift)
        part["hit_table_local_wire"] += _WIRES * (number % _ABREAST)
        part["hit_table_local_time"] += np.float32(_TICKS * (number // _ABREAST))
        parts.append(part)
        shift = int(part["hit_table_hit_id"].max()) + 1
        total += len(part["hit_table_hit_id"])
    event = {name: np.concatenate([part[name] for part in parts]) for name in INPUTS}
    kept = np.sort(np.random.default_rng(0).choice(total, hits, replace=False))
    known = np.append(event["hit_table_hit_id"][kept], -1)
    whole = np.all(
        [np.isin(event[f"spacepoint_table_hit_id_{plane}"], known) for plane in PLANES], axis=0
    )
    return {
        name: array[kept] if name.startswith("hit_table") else array[whole]
        for name, array in event.items()
    }


def shift_hits(event: Arrays, shift: int) -> None:
    """Rename an event's hits in place."""
    event["hit_table_hit_id"] += shift
    for plane in PLANES:
        named = event[f"spacepoint_table_hit_id_{plane}"]
        named[named >= 0] += shift


def measure(sizes: Sequence[int], effort: Effort) -> Iterator[Point]:
    events = {size: event_of(size) for size in sizes}
    runner = load(Spec("naiad.applications.nugraph.pipeline:NuGraph3", None, "cpu", threads=1))
    free = {"http_port": 0, "grpc_port": 0, "metrics_port": 0}
    with naiad.serve("nugraph3", instances=1, **free) as server, server.client() as client:
        (worker,) = workers(server)
        client.infer("nugraph3", events[sizes[0]])
        own, served = Peak(os.getpid()), Peak(worker)
        for number in range(effort.runs):
            for size, event in events.items():
                own.reset()
                prepare, whole, answer = cost(runner, event)
                yield "CPU in process", size, 1e3 * whole
                yield "of that to prepare", size, 1e3 * prepare
                if not number:  # later, freed memory of larger events is used again
                    yield from own.point("memory in process", size)
                served.reset()
                repeats = max(1, _REPEATED // size)
                busy, began = cpu_seconds(server.pid), time.perf_counter()
                for _ in range(repeats):
                    given = client.infer("nugraph3", event)
                yield "served, one client", size, 1e3 * (time.perf_counter() - began) / repeats
                yield "CPU served", size, 1e3 * (cpu_seconds(server.pid) - busy) / repeats
                if not number:
                    yield from served.point("memory of the worker", size)
                    if (share := largest_difference([given], [answer])[0]) > 1:
                        raise RuntimeError(f"answers differ by {share:.1f} tolerances: {size} hits")


def cost(runner: Runner, event: Arrays) -> tuple[float, float, Arrays]:
    """Return CPU seconds of an event, for ``prepare`` and in all, and the answer."""
    repeats = max(1, _REPEATED // len(event["hit_table_hit_id"]))
    prepare = whole = 0.0
    for _ in range(repeats):
        began = time.process_time()
        request = Request(event, validate(INPUTS, event))
        prepared = runner.prepare(request)
        prepare += time.process_time() - began
        (outcome,) = runner.run_prepared([prepared]).outcomes
        whole += time.process_time() - began
    if isinstance(outcome, NaiadError):
        raise outcome
    return prepare / repeats, whole / repeats, outcome


CURVE = Curve(
    name="hits",
    title="Hits of an event (NuGraph3)",
    size="hits",
    sizes=(100, 300, 1_000, 3_000, 10_000, 30_000, 100_000),
    series=(
        Series("CPU in process", "ms", LINEAR, _QHULL),
        Series("of that to prepare", "ms", LINEAR, _QHULL),
        Series("memory in process", "MB", LINEAR),
        Series("served, one client", "ms", LINEAR, _QHULL),
        Series("CPU served", "ms", LINEAR, _QHULL),
        Series("memory of the worker", "MB", LINEAR),
    ),
    measure=measure,
    tiny=(100, 400),
    memory=lambda hits: 8_000 * hits,
)
