"""How fast the graph store in Ladybug is: loading, setting vectors, searching them.

    python benchmarks/graph_store.py --nodes 9027

Medians; beside the search, NumPy's for the same vectors in memory, as a baseline.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from naiad.store import EdgeTable, GraphSchema, NodeTable, create_store, open_store, write_store

_DIMENSION = 384
_ROUNDS = 50
_SCHEMA = GraphSchema(
    (NodeTable("Node", {"name": "string", "year": "int64"}, vectors={"v": _DIMENSION}),),
    (EdgeTable("link", "Node", "Node"),),
)


def seconds(function: Callable[[], Any]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def median_ms(function: Callable[[], Any]) -> float:
    return 1e3 * statistics.median(seconds(function) for _ in range(_ROUNDS))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=9_027)
    parser.add_argument("--edges", type=int, default=100_000)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    count = arguments.nodes
    vectors = rng.normal(size=(count, _DIMENSION)).astype(np.float32)
    keys = [str(number) for number in range(count)]
    ends = rng.integers(0, count, (2, arguments.edges)).astype(str)
    with tempfile.TemporaryDirectory(prefix="naiad-bench-") as scratch:
        folder = Path(scratch)
        years = pa.array(rng.integers(1900, 2030, count))
        nodes = pa.table({"id": keys, "name": keys, "year": years})
        flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), _DIMENSION)
        pq.write_table(nodes.append_column("v", flat), folder / "nodes.parquet")
        pq.write_table(pa.table({"from": ends[0], "to": ends[1]}), folder / "edges.parquet")
        with create_store(folder / "store", _SCHEMA) as writer:
            took = seconds(lambda: writer.load_nodes("Node", folder / "nodes.parquet"))
            print(f"load {count:,} nodes with vectors: {took:.2f} s, {count / took:,.0f} a second")
            took = seconds(lambda: writer.load_edges("link", folder / "edges.parquet"))
            print(f"load {arguments.edges:,} edges: {took:.2f} s")
        with write_store(folder / "store") as writer:
            part = min(count, 2_560)
            took = seconds(lambda: writer.set_vectors("Node", "v", keys[:part], vectors[:part]))
            print(f"set {part:,} vectors: {took:.2f} s, {part / took:,.0f} a second")
            print(f"publish: {seconds(writer.publish):.2f} s")
        query = vectors[5]
        units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        with open_store(folder / "store", threads=1) as store:
            exact = median_ms(lambda: store.nearest("Node", "v", query))
            newer = {"year": (">", 1990)}
            filtered = median_ms(lambda: store.nearest("Node", "v", query, where=newer))
            memory = median_ms(lambda: np.argpartition(-(units @ query), 10)[:10])
            print(f"10 nearest of {count:,}: {exact:.1f} ms; with a filter {filtered:.1f} ms")
            print(f"in NumPy, in memory: {memory:.1f} ms; the store takes {exact / memory:.1f} x")
            print(f"get 100 nodes: {median_ms(lambda: store.get('Node', keys[:100])):.1f} ms")
            two = median_ms(lambda: store.neighbours("Node", "5", "Node", ["link"], hops=2))
            print(f"neighbours within 2 hops: {two:.1f} ms")


if __name__ == "__main__":
    main()
