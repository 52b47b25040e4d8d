"""Cache of a published state's edges, for tables that are queried often.

Ladybug looks up one node directly, but joins with all nodes to look up several: on a graph of
9,000 films and 100,000 ratings that took 50 times as long as from memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from naiad.applications.store import cypher
from naiad.applications.store.adjacency import Adjacency, Edges, Ints, Numbered
from naiad.applications.store.cypher import quoted
from naiad.applications.store.filters import Condition
from naiad.applications.store.schema import EdgeTable, GraphSchema, NodeTable

Ask: TypeAlias = "Callable[[str, Mapping[str, Any]], Any]"
"""A function that runs a query with its parameters and returns Ladybug's result."""

MOST_EDGES: Final = 10_000_000
"""The largest table to keep; it takes about 400 MB."""
_WORTH: Final = 1_000
"""Number of edges that can be read in the time it takes to query one node's edges."""
_MOST_KEPT: Final = 8


class EdgeMemory:
    """The cached edges of one state; not thread-safe.

    Args:
        schema: the schema of the graph.
        ask: the function that queries its database.
    """

    def __init__(self, schema: GraphSchema, ask: Ask) -> None:
        self._schema = schema
        self._ask = ask
        self._kept: dict[str, Edges | Adjacency] = {}
        self._asked: dict[str, int] = {}
        self._sizes: dict[str, int] = {}
        self._numbered: dict[str, Numbered] = {}

    def edges(self, edge: EdgeTable, found: Sequence[Condition], keys: int) -> Edges | None:
        """Return the edges that meet conditions; None if there are too many, or too early to pay.

        Reading them pays once the queries for single ``keys`` have taken as long.
        """
        about = repr((edge.name, found))
        if about not in self._kept:
            size = self._size(edge)
            self._asked[about] = self._asked.get(about, 0) + keys
            if size > MOST_EDGES or self._asked[about] * _WORTH < size:
                return None
            source, target, *values = self._ends(edge, found)
            self._keep(
                about,
                Edges(
                    self._nodes(edge.source),
                    self._nodes(edge.target),
                    (source.to_numpy(), target.to_numpy()),
                    values,
                ),
            )
        kept = self._kept[about]
        assert isinstance(kept, Edges)
        return kept

    def adjacency(
        self, node: NodeTable, edges: Sequence[EdgeTable], found: Sequence[Condition]
    ) -> Adjacency | None:
        """Return a table's nodes and their neighbours along ``edges``; None if too many edges."""
        about = repr((node.name, [edge.name for edge in edges], found))
        if about not in self._kept:
            if sum(map(self._size, edges)) > MOST_EDGES:
                return None
            # Neighbours from several tables are numbered one table after another.
            ends = [edge.target if edge.source == node.name else edge.source for edge in edges]
            first: dict[str, int] = {}
            reached = 0
            for end in dict.fromkeys(ends):
                first[end] = reached
                reached += len(self._nodes(end).keys)
            pairs: list[tuple[Ints, Ints]] = []
            for edge, end in zip(edges, ends, strict=True):
                source, target = (column.to_numpy() for column in self._ends(edge, found)[:2])
                if edge.source == node.name:
                    pairs.append((source, target + first[end]))
                if edge.target == node.name:
                    pairs.append((target, source + first[end]))
            self._keep(about, Adjacency.of(self._nodes(node.name), pairs, reached))
        kept = self._kept[about]
        assert isinstance(kept, Adjacency)
        return kept

    def _keep(self, about: str, edges: Edges | Adjacency) -> None:
        if len(self._kept) >= _MOST_KEPT:
            self._kept.pop(next(iter(self._kept)))
        self._kept[about] = edges

    def _size(self, edge: EdgeTable) -> int:
        if edge.name not in self._sizes:
            text = f"MATCH ()-[e:{quoted(edge.name)}]->() RETURN count(*)"
            self._sizes[edge.name] = self._ask(text, {}).get_all()[0][0]
        return self._sizes[edge.name]

    def _nodes(self, table: str) -> Numbered:
        if table not in self._numbered:
            rows = self._ask(cypher.keys(self._schema.node(table)), {}).get_as_arrow(-1)
            self._numbered[table] = Numbered(rows.column(0).to_pylist())
        return self._numbered[table]

    def _ends(self, edge: EdgeTable, found: Sequence[Condition]) -> list[Any]:
        """Return columns: the numbers of each edge's two nodes, and its properties."""
        parameters: dict[str, Any] = {}
        text = cypher.ends(edge, found, parameters)
        rows = self._ask(text, parameters).get_as_arrow(-1)
        return [column.combine_chunks() for column in rows.columns]
