"""Persistent graphs: nodes, edges, properties and vectors, in Ladybug or ArangoDB.

::

    schema = GraphSchema(
        nodes=(NodeTable("Paper", {"title": "string"}, vectors={"embedding": 384}),),
        edges=(EdgeTable("cites", "Paper", "Paper"),),
    )
    with create_store("papers", schema) as writer:
        writer.load_nodes("Paper", Path("papers.parquet"))
        writer.load_edges("cites", Path("citations.parquet"))
    with open_store("papers") as store:
        print(store.nearest("Paper", "embedding", query, k=10))
"""

from naiad.applications.store.base import Direction, Record, Store, Writer
from naiad.applications.store.filters import Where
from naiad.applications.store.opening import create_store, exists, open_store, write_store
from naiad.applications.store.results import Common, Hit, Link, Neighbour
from naiad.applications.store.schema import EdgeTable, GraphSchema, Key, NodeTable

__all__ = [
    "Common",
    "Direction",
    "EdgeTable",
    "GraphSchema",
    "Hit",
    "Key",
    "Link",
    "Neighbour",
    "NodeTable",
    "Record",
    "Store",
    "Where",
    "Writer",
    "create_store",
    "exists",
    "open_store",
    "write_store",
]
