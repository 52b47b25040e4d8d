"""``naiad process`` on local nodes of a Ray cluster, with an actor on each."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from benchmarks.growth.bulk_run import MODEL, points, process, write_input
from benchmarks.growth.curve import CONSTANT, Curve, Effort, Point, Series
from benchmarks.growth.paused import PAUSE

from naiad.bulk.on_ray import OnRay, RaySettings

_STORE = 80 << 20  # bytes, Ray's minimum
_ROOT = Path(__file__).parents[2]


def measure(sizes: Sequence[int], effort: Effort) -> Iterator[Point]:
    runs: dict[int, list[tuple[float, float]]] = {size: [] for size in sizes}
    for size in sizes:
        with cluster(size) as address, TemporaryDirectory() as folder:
            path = Path(folder) / "events.h5"
            count = write_input(path, size, effort.seconds)
            for number in range(effort.runs):
                settings = RaySettings(address=address, actors=size)
                with OnRay(MODEL, None, settings) as engine:
                    results = Path(folder) / str(number)
                    runs[size].append(process(engine, path, results, count))
    yield from points(runs)


@contextmanager
def cluster(nodes: int) -> Iterator[str]:
    """Start a cluster of nodes with one CPU each; yield its address."""
    from ray.cluster_utils import Cluster  # takes seconds to import

    variables = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_raylet_start_wait_time_s": "120",  # of a busy machine
        "PYTHONPATH": os.pathsep.join(_paths()),
    }
    with patch.dict(os.environ, variables):
        head = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": _STORE}
        started = Cluster(initialize_head=True, head_node_args=head)
        try:
            for _ in range(nodes - 1):
                started.add_node(num_cpus=1, object_store_memory=_STORE)
            yield str(started.address)
        finally:
            started.shutdown()


def _paths() -> list[str]:
    return [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]


CURVE = Curve(
    name="nodes",
    title="Ray nodes of `naiad process`",
    size="nodes",
    sizes=(1, 2, 3, 4, 6, 8),
    series=(
        Series("events", "1/s"),
        Series("efficiency", ""),
        Series("CPU of the command", "ms", CONSTANT),
    ),
    measure=measure,
    tiny=(1, 2),
    memory=lambda nodes: 600e6 * nodes,
    note=f"`forward` takes {1e3 * PAUSE:.0f} ms for each event without using a core, so that more "
    "nodes than cores show the cost of distribution; the network also runs. Timed once a quarter "
    "is done. The efficiency is a node's rate, relative to that of one alone.",
)
