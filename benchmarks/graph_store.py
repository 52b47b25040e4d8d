"""Measure the graph store in Ladybug: loading, setting vectors, searching them.

    python benchmarks/graph_store.py --nodes 9027
    python benchmarks/graph_store.py --nodes 1000000 --rounds 20

Prints medians. The baseline of the exact search is NumPy's for as many vectors in memory. From
--approximate-from nodes on, the search with an index is measured too, and its recall. Vectors have
384 numbers, of which about 48 are independent, around 500 centres, much like embeddings of texts;
without such structure, no index finds much.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from naiad.applications.store import (
    EdgeTable,
    GraphSchema,
    NodeTable,
    create_store,
    open_store,
    write_store,
)

_DIMENSION = 384
_INTRINSIC = 48
_CHUNK = 50_000
_SCHEMA = GraphSchema(
    (NodeTable("Node", {"name": "string", "year": "int64"}, vectors={"v": _DIMENSION}),),
    (EdgeTable("link", "Node", "Node"),),
)
_FILTERS = {"half of them": {"year": (">", 1965)}, "1 of 130": {"year": 2000}}


def seconds(function: Callable[[], Any]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def median_ms(function: Callable[[], Any], rounds: int) -> float:
    return 1e3 * statistics.median(seconds(function) for _ in range(rounds))


class Vectors:
    """A distribution of vectors, drawn by seed."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self._basis = rng.normal(size=(_INTRINSIC, _DIMENSION)).astype(np.float32)
        self._centres = rng.normal(size=(500, _INTRINSIC)).astype(np.float32)

    def make(self, number: int, seed: int) -> np.ndarray:
        """Draw vectors: float32 [number, 384]."""
        rng = np.random.default_rng(seed)
        inner = self._centres[rng.integers(0, 500, number)]
        inner = inner + 0.7 * rng.standard_normal((number, _INTRINSIC), np.float32)
        noise = 1.5 * rng.standard_normal((number, _DIMENSION), np.float32)
        return inner @ self._basis + noise


def write_nodes(path: Path, number: int, vectors: Vectors) -> None:
    rng = np.random.default_rng(1)
    writer = None
    for start in range(0, number, _CHUNK):
        count = min(_CHUNK, number - start)
        keys = [str(key) for key in range(start, start + count)]
        flat = pa.array(vectors.make(count, 2 + start).ravel())
        column = pa.FixedSizeListArray.from_arrays(flat, _DIMENSION)
        years = pa.array(rng.integers(1900, 2030, count))
        rows = pa.table({"id": keys, "name": keys, "year": years, "v": column})
        writer = writer or pq.ParquetWriter(path, rows.schema, compression="none")
        writer.write_table(rows)
    assert writer is not None
    writer.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nodes", type=int, default=9_027)
    parser.add_argument("--edges", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=50, help="of each measurement")
    parser.add_argument("--approximate-from", type=int, help="nodes; a million by default")
    parser.add_argument("--dir", type=Path, help="temporary folder for the store")
    arguments = parser.parse_args()
    count, rounds = arguments.nodes, arguments.rounds
    vectors = Vectors()
    ends = np.random.default_rng(0).integers(0, count, (2, arguments.edges)).astype(str)
    with tempfile.TemporaryDirectory(prefix="naiad-bench-", dir=arguments.dir) as scratch:
        folder = Path(scratch)
        write_nodes(folder / "nodes.parquet", count, vectors)
        pq.write_table(pa.table({"from": ends[0], "to": ends[1]}), folder / "edges.parquet")
        writer = create_store(
            folder / "store", _SCHEMA, approximate_from=arguments.approximate_from
        )
        with writer:
            took = seconds(lambda: writer.load_nodes("Node", folder / "nodes.parquet"))
            print(f"load {count:,} nodes with vectors: {took:.2f} s, {count / took:,.0f} a second")
            took = seconds(lambda: writer.load_edges("link", folder / "edges.parquet"))
            print(f"load {arguments.edges:,} edges: {took:.2f} s")
            print(f"publish, with an index if any: {seconds(writer.publish):.2f} s")
        for path in sorted((folder / "store").glob("000001.*")):
            print(f"  {path.name}: {path.stat().st_size / 1e6:,.0f} MB")
        with write_store(folder / "store") as writer:
            keys = [str(key) for key in range(min(count, 2_560))]
            changed = vectors.make(len(keys), 1)
            took = seconds(lambda: writer.set_vectors("Node", "v", keys, changed))
            print(f"set {len(keys):,} vectors: {took:.2f} s, {len(keys) / took:,.0f} a second")
            print(f"publish them: {seconds(writer.publish):.2f} s")
        with open_store(folder / "store", threads=1) as store:
            measure(store, vectors, count, rounds)
    print(f"most memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.1f} GB")


def measure(store: Any, vectors: Vectors, count: int, rounds: int) -> None:
    queries = vectors.make(rounds, 0)

    def search(**options: Any) -> tuple[float, list[set[Any]]]:
        answers: list[set[Any]] = []
        times: list[float] = []
        for query in queries:
            start = time.perf_counter()
            hits = store.nearest("Node", "v", query, **options)
            times.append(time.perf_counter() - start)
            answers.append({hit.key for hit in hits})
        return 1e3 * statistics.median(times), answers

    for name, where in {"all": None, **_FILTERS}.items():
        exact, right = search(where=where, exact=True)
        near, found = search(where=where)
        recall = sum(len(a & b) for a, b in zip(right, found, strict=True)) / sum(map(len, right))
        print(
            f"10 nearest of {name} of {count:,}: exactly {exact:.1f} ms; as asked by default "
            f"{near:.2f} ms, {exact / near:.1f} times as fast, with {recall:.3f} of them"
        )
        if where is None:
            units = vectors.make(min(count, _CHUNK), 3)
            units /= np.linalg.norm(units, axis=1, keepdims=True)
            memory = median_ms(lambda u=units: np.argpartition(-(u @ queries[0]), 10)[:10], rounds)
            memory *= count / len(units)
            print(f"  in NumPy, in memory: {memory:.1f} ms; the store takes {exact / memory:.1f} x")
    keys = [str(key) for key in range(100)]
    print(f"get 100 nodes: {median_ms(lambda: store.get('Node', keys), rounds):.1f} ms")
    two = median_ms(lambda: store.neighbours("Node", "5", "Node", ["link"], hops=2), rounds)
    print(f"neighbours within 2 hops: {two:.1f} ms")


if __name__ == "__main__":
    main()
