"""The graph attention network by edges of a graph, in this process."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence

import numpy as np
from benchmarks.growth.curve import LINEAR, Curve, Effort, Point, Series
from benchmarks.growth.memory import Peak

from naiad.applications.gat.schema import FEATURES, INPUTS
from naiad.core.pipeline import Request
from naiad.core.schema import Arrays, validate
from naiad.errors import NaiadError
from naiad.runtime.spec import Spec
from naiad.runtime.worker import load

_NODES = 2_000  # at most: with more, their 1,433 features each cost more than the edges
_REPEATED = 30_000  # edges in all, at least, for each measurement


def graph_of(edges: int) -> Arrays:
    """Make a random graph of this number of edges, and of a fifth as many nodes."""
    nodes = min(max(2, edges // 5), _NODES)
    rng = np.random.default_rng(edges)
    return {
        "x__0": rng.random((nodes, FEATURES), np.float32),
        "edgeindex__1": rng.integers(0, nodes, (2, edges)),
    }


def measure(sizes: Sequence[int], effort: Effort) -> Iterator[Point]:
    runner = load(Spec("naiad.applications.gat.pipeline:Gat", None, "cpu", threads=1))
    peak = Peak(os.getpid())
    for number in range(effort.runs):
        for size in sizes:
            peak.reset()
            graph = graph_of(size)
            repeats = max(1, _REPEATED // size)
            began = time.process_time()
            for _ in range(repeats):
                (outcome,) = runner.run([Request(graph, validate(INPUTS, graph))]).outcomes
                if isinstance(outcome, NaiadError):
                    raise outcome
            yield "CPU", size, 1e3 * (time.process_time() - began) / repeats
            if not number:
                yield from peak.point("memory", size)


CURVE = Curve(
    name="edges",
    title="Edges of a graph (GAT)",
    size="edges",
    sizes=tuple(10**power for power in range(1, 8)),
    series=(Series("CPU", "ms", LINEAR), Series("memory", "MB", LINEAR)),
    measure=measure,
    tiny=(10, 1_000),
    memory=lambda edges: 600 * edges,
    note=f"A fifth as many nodes as edges, but at most {_NODES:,}. A server takes at most "
    "5,000,000 edges in one request.",
)
