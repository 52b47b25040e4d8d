"""Keep a graph with vectors on disk, and query it.

    python examples/graph_store.py

Needs the extra `store`.
"""

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa

from naiad.applications.store import EdgeTable, GraphSchema, NodeTable, create_store, open_store

SCHEMA = GraphSchema(
    nodes=(NodeTable("Paper", {"title": "string", "year": "int64"}, vectors={"v": 3}),),
    edges=(EdgeTable("cites", "Paper", "Paper"),),
)
PAPERS = pa.table(
    {"id": ["a", "b", "c"], "title": ["One", "Two", "Three"], "year": [1999, 2005, 2011]}
)
CITATIONS = pa.table({"from": ["b", "c"], "to": ["a", "b"]})


def main() -> None:
    """Write a store, then print the papers nearest to a vector and those that "c" cites."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "papers"
        with create_store(place, SCHEMA) as writer:
            writer.load_nodes("Paper", PAPERS)
            writer.load_edges("cites", CITATIONS)
            writer.set_vectors("Paper", "v", ["a", "b", "c"], np.eye(3, dtype=np.float32))
        with open_store(place) as store:
            vector = np.array([1, 2, 0], np.float32)
            for hit in store.nearest("Paper", "v", vector, k=2, where={"year": (">", 1990)}):
                print("near:", hit.key)
            print("from c:", store.neighbours("Paper", "c", "Paper", ["cites"], hops=2))


if __name__ == "__main__":
    main()
