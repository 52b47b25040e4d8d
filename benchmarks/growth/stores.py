"""Stores of vectors: loading, publishing, changing and searching, with and without a filter.

Vectors have 384 numbers, of which about 48 are independent, around 500 centres, much like
embeddings of texts; without such structure, no index finds much.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from benchmarks.growth.curve import CONSTANT, LINEAR, Curve, Effort, Point, Series

from naiad.applications.store import (
    EdgeTable,
    GraphSchema,
    NodeTable,
    create_store,
    open_store,
    write_store,
)
from naiad.core.schema import Array

_DIMENSION = 384
_INTRINSIC = 48
_CHUNK = 50_000
_CHANGED = 2_560
_APPROXIMATE_FROM = 10_000
_DISK = 5_000  # bytes of disk per node, for the file, the store and its index, twice during a write
_SCHEMA = GraphSchema(
    (NodeTable("Node", {"name": "string", "year": "int64"}, vectors={"v": _DIMENSION}),),
    (EdgeTable("link", "Node", "Node"),),
)
FILTERS: dict[str, dict[str, Any] | None] = {
    "all": None,
    "half": {"year": (">", 1965)},
    "1 of 130": {"year": 2000},
}

T = TypeVar("T")


class Vectors:
    """A distribution of vectors, drawn by seed."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self._basis = rng.normal(size=(_INTRINSIC, _DIMENSION)).astype(np.float32)
        self._centres = rng.normal(size=(500, _INTRINSIC)).astype(np.float32)

    def make(self, number: int, seed: int) -> Array:
        """Draw vectors: float32 [number, 384]."""
        rng = np.random.default_rng(seed)
        inner = self._centres[rng.integers(0, 500, number)]
        inner = inner + 0.7 * rng.standard_normal((number, _INTRINSIC), np.float32)
        noise = 1.5 * rng.standard_normal((number, _DIMENSION), np.float32)
        return inner @ self._basis + noise


def measure(sizes: Sequence[int], effort: Effort) -> Iterator[Point]:
    vectors = Vectors()
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="naiad-growth-") as scratch:
            free = shutil.disk_usage(scratch).free
            if free < _DISK * size:
                print(f"{size:,} nodes need {_DISK * size / 1e9:.0f} GB of disk: left out")
                return
            yield from of_store(Path(scratch), vectors, size, effort.runs)


def of_store(folder: Path, vectors: Vectors, size: int, runs: int) -> Iterator[Point]:
    """Measure a store of ``size`` nodes, once what takes long."""
    write_files(folder, size, vectors)
    place = folder / "store"
    with create_store(place, _SCHEMA, approximate_from=_APPROXIMATE_FROM) as writer:
        took, _ = cpu(lambda: writer.load_nodes("Node", folder / "nodes.parquet"))
        yield "CPU to load", size, took
        writer.load_edges("link", folder / "edges.parquet")
        yield "CPU to publish, with an index", size, cpu(writer.publish)[0]
    written = sum(path.stat().st_size for path in place.glob("000001.*"))
    yield "on disk", size, written / 1e6
    with write_store(place) as writer:
        keys = [str(key) for key in range(min(size, _CHANGED))]
        changed = vectors.make(len(keys), 1)
        took, _ = cpu(lambda: writer.set_vectors("Node", "v", keys, changed))
        yield "CPU to set a vector", size, 1e3 * took / len(keys)
    with open_store(place, threads=1) as store:
        for number in range(runs):
            queries = vectors.make(10, number)
            for name, where in FILTERS.items():
                ask = partial(store.nearest, "Node", "v", where=where)
                right = [cpu(partial(ask, query, exact=True)) for query in queries]
                found = [cpu(partial(ask, query)) for query in queries]
                yield f"exact, {name}", size, 1e3 * statistics.median(s for s, _ in right)
                yield f"nearest, {name}", size, 1e3 * statistics.median(s for s, _ in found)
                yield f"found of {name}", size, recall(right, found)
            yield "in NumPy, all", size, 1e3 * in_memory(vectors, size, queries[0])
            some = partial(store.get, "Node", [str(key) for key in range(100)])
            yield "get 100 nodes", size, 1e3 * cpu(some)[0]
            near = partial(store.neighbours, "Node", "5", "Node", ["link"], hops=2)
            yield "neighbours within 2 hops", size, 1e3 * cpu(near)[0]


def in_memory(vectors: Vectors, size: int, query: Array) -> float:
    """Return the CPU seconds of an exact search of vectors in memory; many by those of a few."""
    units = vectors.make(min(size, _CHUNK), 3)
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    took, _ = cpu(lambda: np.argpartition(-(units @ query), 10)[:10])
    return took * size / len(units)


def cpu(work: Callable[[], T]) -> tuple[float, T]:
    """Return the CPU seconds of a call, and its result."""
    began = time.process_time()
    result = work()
    return time.process_time() - began, result


def recall(right: Sequence[tuple[float, Any]], found: Sequence[tuple[float, Any]]) -> float:
    """Return the share of the exact answers that were found."""
    expected, given = ([{hit.key for hit in hits} for _, hits in side] for side in (right, found))
    hits = sum(len(a & b) for a, b in zip(expected, given, strict=True))
    return hits / sum(map(len, expected))


def write_files(folder: Path, number: int, vectors: Vectors) -> None:
    """Write nodes, and as many edges, as Parquet files."""
    rng = np.random.default_rng(1)
    writer = None
    for start in range(0, number, _CHUNK):
        count = min(_CHUNK, number - start)
        keys = [str(key) for key in range(start, start + count)]
        flat = pa.array(vectors.make(count, 2 + start).ravel())
        column = pa.FixedSizeListArray.from_arrays(flat, _DIMENSION)
        years = pa.array(rng.integers(1900, 2030, count))
        rows = pa.table({"id": keys, "name": keys, "year": years, "v": column})
        writer = writer or pq.ParquetWriter(folder / "nodes.parquet", rows.schema)
        writer.write_table(rows)
    assert writer is not None
    writer.close()
    ends = rng.integers(0, number, (2, number)).astype(str)
    pq.write_table(pa.table({"from": ends[0], "to": ends[1]}), folder / "edges.parquet")


_TRAINING = "vectors are compared with centres of groups, whose number grows as the square root"

CURVE = Curve(
    name="stores",
    title="Vectors in a store (384 numbers each)",
    size="nodes",
    sizes=(10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000),
    series=(
        Series("CPU to load", "s", LINEAR),
        Series("CPU to publish, with an index", "s", LINEAR, _TRAINING),
        Series("on disk", "MB", LINEAR),
        Series("CPU to set a vector", "ms", CONSTANT),
        *(Series(f"exact, {name}", "ms", LINEAR) for name in FILTERS),
        Series("in NumPy, all", "ms", LINEAR),
        *(Series(f"nearest, {name}", "ms", LINEAR) for name in FILTERS),
        *(Series(f"found of {name}", "") for name in FILTERS),
        Series("get 100 nodes", "ms", LINEAR),
        Series("neighbours within 2 hops", "ms", LINEAR),
    ),
    measure=measure,
    tiny=(200, 400),
    memory=lambda nodes: 3e9 + 450 * nodes,
    note="Searches, on one thread, are for the 10 nearest: exactly, and as `nearest` does by "
    f"default, with an index from {_APPROXIMATE_FROM:,} nodes on; `found` is the share of the "
    "exact answers among those. `half` and `1 of 130` are filters that this share of the nodes "
    "passes.",
)
