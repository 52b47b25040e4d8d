"""Films in an ArangoDB dump.

The names of its collections, or the types and labels of its documents, tell nodes and edges apart;
see :mod:`naiad.applications.movies.vocabulary`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from naiad.applications.movies.collecting import Collector
from naiad.applications.movies.graph import MovieTables, movie_schema
from naiad.applications.movies.layout import Collection, collections_in
from naiad.applications.movies.vocabulary import (
    edge_of,
    edge_table,
    film_properties,
    kind_of,
    name_of,
    node_of,
    node_table,
    rating_of,
    time_of,
)
from naiad.errors import InvalidInput


def read_dump(folder: Path) -> MovieTables:
    """Read the graph in a dump.

    Raises:
        InvalidInput: the dump is encrypted, or a file is damaged or missing.
    """
    reader = _Reader()
    collections = collections_in(folder)
    missing = [collection for collection in collections if not collection.files]
    for collection in missing:
        if node_table(collection.name) or edge_table(collection.name):
            raise InvalidInput(collection.missing)
    for collection in collections:
        if collection.files and not collection.edges:
            reader.add_nodes(collection)
    for collection in collections:
        if collection.files and collection.edges:
            reader.add_edges(collection)
    reader.collector.complete_genres()
    tables = reader.collector.tables(str(folder))
    if "Movie" not in tables.nodes and missing:
        raise InvalidInput("; ".join(collection.missing for collection in missing))
    for collection in missing:
        if collection.edges and not reader.credited:
            raise InvalidInput(collection.missing)
        tables.complaints.append(
            f"collection {collection.name} taken as empty: it has no data file"
        )
    return tables


class _Reader:
    """A collector, and the tables and keys of the nodes by their ids, such as ``Users/7``."""

    def __init__(self) -> None:
        self.collector = Collector()
        self._nodes: dict[str, tuple[str, str]] = {}
        self._collections: set[str] = set()
        self.credited = False  # an edge other than a rating was read

    def add_nodes(self, collection: Collection) -> None:
        name = collection.name
        others = 0
        for key, document in collection.documents():
            table = node_of(name, document)
            if table is None:
                others += 1
                continue
            # Two collections of one table may have the same key.
            taken = self.collector.has(table, key)
            self._nodes[f"{name}/{key}"] = table, f"{name}/{key}" if taken else key
            self._add_node(table, self._nodes[f"{name}/{key}"][1], document)
            self._collections.add(name)
        if others and name not in self._collections:
            self.collector.complain(f"collection {name} left out: not part of a film graph")
        elif others:
            self.collector.complain(
                f"document of {name} left out: its type is not part of a film graph", others
            )

    def _add_node(self, table: str, key: str, document: Mapping[str, Any]) -> None:
        if table == "Movie":
            self.collector.node(table, key, **film_properties(document))
        else:
            self.collector.node(table, key, name=name_of(document))

    def add_edges(self, collection: Collection) -> None:
        for _, document in collection.documents():
            if complaint := self._add_edge(collection.name, document):
                self.collector.complain(complaint)

    def _add_edge(self, name: str, document: Mapping[str, Any]) -> str | None:
        """Add an edge, or return the reason for which it is left out."""
        edge = edge_of(name, document)
        ends = [str(document.get(end, "")) for end in ("_from", "_to")]
        if edge is None or not all(end.partition("/")[0] in self._collections for end in ends):
            kind = kind_of(document)
            what = f"edge {kind} of {name}" if kind else f"edge of {name}"
            return f"{what} left out: not part of a film graph"
        schema = movie_schema().edge(edge.table)
        nodes = [self._nodes.get(end) for end in ends]
        if edge.backwards:
            nodes.reverse()
        source, target = nodes
        if source is None or target is None:
            return f"edge {edge.table} left out: its {schema.source} or {schema.target} is missing"
        if (source[0], target[0]) != (schema.source, schema.target):
            first, last = schema.source, schema.target
            if edge.backwards:
                first, last = last, first
            return f"edge {edge.table} left out: it does not lead from {first} to {last}"
        properties: dict[str, Any] = {}
        if edge.table == "rated":
            rating = rating_of(document)
            if rating is None:
                return f"edge of {name} left out: it has no rating"
            properties = {"rating": rating, "timestamp": time_of(document)}
        else:
            self.credited = True
        self.collector.edge(edge.table, source[1], target[1], **properties)
        return None
