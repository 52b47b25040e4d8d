"""A film graph collected node by node and edge by edge."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa

from naiad.applications.movies.graph import MovieTables, movie_schema
from naiad.applications.store.schema import KEY, SOURCE, TARGET


class Collector:
    """Collected rows; the first node with a key and the first of repeated edges are kept."""

    def __init__(self) -> None:
        self._schema = movie_schema()
        self._nodes: dict[str, dict[str, dict[str, Any]]] = {}
        self._edges: dict[str, dict[tuple[str, str], dict[str, Any]]] = {}
        self._repeated: Counter[str] = Counter()
        self._complaints: Counter[str] = Counter()

    def complain(self, text: str, times: int = 1) -> None:
        """Record a problem with the source and how often it occurs."""
        self._complaints[text] += times

    def node(self, table: str, key: str, **properties: Any) -> None:
        """Add a node, unless the key exists."""
        rows = self._nodes.setdefault(table, {})
        if key in rows:
            self._repeated[table] += 1
        else:
            rows[key] = properties

    def named(self, table: str, key: str, name: str | None) -> None:
        """Add a node that has only a name; repetitions are expected."""
        self._nodes.setdefault(table, {}).setdefault(key, {"name": name})

    def edge(self, table: str, source: str, target: str, **properties: Any) -> None:
        """Add an edge, unless it exists."""
        self._edges.setdefault(table, {}).setdefault((source, target), properties)

    def has(self, table: str, key: str) -> bool:
        """Return whether a table has a node with this key."""
        return key in self._nodes.get(table, ())

    def complete_genres(self) -> None:
        """Give each film the genres it is linked to, and a link to each genre it names."""
        films, genres = self._nodes.get("Movie", {}), self._nodes.get("Genre", {})
        for film, genre in list(self._edges.get("hasGenre", {})):
            name = genres[genre]["name"] or genre
            named = films[film]["genres"] or []
            if name not in named:
                films[film]["genres"] = [*named, name]
        keys = {row["name"] or key: key for key, row in genres.items()}
        for film, properties in films.items():
            for name in properties["genres"] or ():
                if name not in keys:
                    keys[name] = name if name not in genres else f"genre:{name}"
                    self.named("Genre", keys[name], name)
                self.edge("hasGenre", film, keys[name])

    def keys(self, table: str) -> set[str]:
        """Return the keys of a table's nodes."""
        return set(self._nodes.get(table, ()))

    def tables(self, source: str) -> MovieTables:
        """Return everything collected."""
        found = MovieTables({}, {}, source)
        for name, nodes in self._nodes.items():
            columns: dict[str, Any] = {KEY: list(nodes)}
            for column in self._schema.node(name).properties:
                columns[column] = [row.get(column) for row in nodes.values()]
            found.nodes[name] = pa.table(columns)
        for name, edges in self._edges.items():
            columns = {SOURCE: [pair[0] for pair in edges], TARGET: [pair[1] for pair in edges]}
            for column in self._schema.edge(name).properties:
                columns[column] = [row.get(column) for row in edges.values()]
            found.edges[name] = pa.table(columns)
        found.complaints += [f"{count:,} x {text}" for text, count in self._complaints.items()]
        found.complaints += [
            f"{count:,} repeated {table} nodes; the first of each was kept"
            for table, count in self._repeated.items()
        ]
        return found
