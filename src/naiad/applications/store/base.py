"""The interface of graph stores and everything they share.

A :class:`Store` can be read, a :class:`Writer` also written. Others see a writer's changes when it
publishes them, all at once. Public methods check their arguments against the schema and build the
results; a database implements the private methods, which take checked tables, distinct keys and
conditions, and return plain rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import numpy as np

from naiad.applications.store.checks import (
    check_edges,
    check_hops,
    check_keys,
    check_limit,
    check_query,
    check_values,
)
from naiad.applications.store.filters import Condition, Where, conditions
from naiad.applications.store.results import Common, Hit, Link, Neighbour
from naiad.applications.store.schema import KEY, EdgeTable, GraphSchema, Key, NodeTable
from naiad.core.schema import Array
from naiad.errors import InvalidInput

if TYPE_CHECKING:
    import pyarrow as pa
    from typing_extensions import Self

Record: TypeAlias = "dict[str, Any]"
"""A node: its ``id`` and all its properties, None for those it lacks."""
Direction: TypeAlias = Literal["out", "in", "both"]
"""Along edges, against them, or either way."""
Side: TypeAlias = Literal["source", "target"]
"""An end of an edge."""
Source: TypeAlias = "Path | pa.Table"
"""Rows to load: a parquet file or an Arrow table."""
Conditions: TypeAlias = Sequence[Condition]
Values: TypeAlias = Sequence[Any]
"""A row of a result."""


class Store(ABC):
    """A graph to read; a context manager, which closes it.

    Every method raises ``InvalidInput`` for tables, properties, keys or vectors that the schema
    does not have, and ``StoreError`` if the database fails. Threads may share a store; their calls
    run one after the other.
    """

    _schema: GraphSchema

    @property
    def schema(self) -> GraphSchema:
        """The tables of the graph."""
        return self._schema

    def count(self, table: str, where: Where | None = None) -> int:
        """Count nodes."""
        node = self._schema.node(table)
        return self._count(node, conditions(node, where))

    def get(self, table: str, keys: Sequence[Key]) -> list[Record | None]:
        """Return the nodes with these keys, in their order; None for a key without a node."""
        node = self._schema.node(table)
        rows = self._lookup(node, keys, node.columns)
        found = {row[0]: dict(zip(node.columns, row, strict=True)) for row in rows}
        return [found.get(key) for key in keys]

    def find(
        self,
        table: str,
        where: Where | None = None,
        *,
        order: str = KEY,
        descending: bool = False,
        limit: int = 100,
    ) -> list[Record]:
        """Return nodes ordered by a property, then by key; those without the property come last."""
        node = self._schema.node(table)
        node.type_of(order)
        found = conditions(node, where)
        rows = self._find(node, node.columns, found, order, descending, check_limit(limit))
        return [dict(zip(node.columns, row, strict=True)) for row in rows]

    def links(
        self,
        edge: str,
        keys: Sequence[Key],
        *,
        side: Side = "source",
        where: Where | None = None,
        limit: int = 100_000,
    ) -> list[Link]:
        """Return the edges whose source (or target) is among ``keys``, by source and target.

        ``where`` applies to the edges' properties.
        """
        table = self._schema.edge(edge)
        given = self._schema.node(table.source if side == "source" else table.target)
        wanted, found = check_keys(given, keys), conditions(table, where)
        check_limit(limit)
        rows = self._links(table, wanted, side, found, limit) if wanted else []
        return [
            Link(edge, source, target, dict(zip(table.properties, values, strict=True)))
            for source, target, *values in rows
        ]

    def degrees(
        self, edge: str, *, side: Side = "source", where: Where | None = None
    ) -> dict[Key, int]:
        """Count the edges of each source (or target); nodes without an edge are left out.

        ``where`` applies to the edges' properties.
        """
        table = self._schema.edge(edge)
        return dict(map(tuple, self._degrees(table, side, conditions(table, where))))

    def neighbours(
        self,
        table: str,
        key: Key,
        to: str,
        edges: Sequence[str],
        *,
        direction: Direction = "both",
        hops: int = 1,
        where: Where | None = None,
        limit: int = 100,
    ) -> list[Neighbour]:
        """Return nodes of table ``to`` within ``hops`` along ``edges``, closest first, then by key.

        ``where`` applies to the nodes' properties. The node itself is left out.
        """
        check_keys(self._schema.node(table), [key])
        reached = self._schema.node(to)
        found = conditions(reached, where)
        tables = check_edges(self._schema, edges)
        hops, limit = check_hops(hops), check_limit(limit)
        rows = self._neighbours((table, key), reached, tables, direction, hops, found, limit)
        return [Neighbour(*row) for row in rows]

    def common(
        self,
        table: str,
        keys: Sequence[Key],
        edges: Sequence[str],
        *,
        among: Sequence[Key] | None = None,
        where: Where | None = None,
        limit: int = 100,
    ) -> list[Common]:
        """Return other nodes of ``table`` by the number of neighbours shared with any of ``keys``.

        Neighbours are those along ``edges``, either way. ``where`` applies to the edges' properties
        and must hold for both edges. ``among`` has the nodes to return; by default, all of them.
        """
        node = self._schema.node(table)
        tables = check_edges(self._schema, edges)
        found, *_ = [conditions(each, where) for each in tables]  # must be valid for all of them
        wanted = check_keys(node, keys)
        check_limit(limit)
        only = None if among is None else check_keys(node, among)
        if not wanted or only == []:
            return []
        rows = self._common(node, wanted, tables, only, found, limit)
        return [Common(*row) for row in rows]

    def nearest(
        self,
        table: str,
        vector: str,
        query: Array,
        k: int = 10,
        *,
        where: Where | None = None,
        exact: bool = False,
    ) -> list[Hit]:
        """Return the ``k`` nodes whose vector has the largest cosine with ``query``, [length].

        Nodes that ``where`` excludes, or that have no vector, are left out. If the vector has an
        approximate index a few of the ``k`` may be missed, unless ``exact``; see
        :func:`naiad.applications.store.create_store`.
        """
        node = self._schema.node(table)
        values = check_query(node, vector, query)
        found = conditions(node, where)
        rows = self._nearest(node, vector, values, check_limit(k, "k"), found, exact)
        return [Hit(*row) for row in rows]

    def vectors(self, table: str, vector: str, keys: Sequence[Key]) -> dict[Key, Array]:
        """Return the vectors, float32, of those of ``keys`` that have one."""
        node = self._schema.node(table)
        node.length_of(vector)
        rows = self._lookup(node, keys, (KEY, vector))
        return {key: np.array(value, np.float32) for key, value in rows if value is not None}

    def all_vectors(self, table: str, vector: str) -> tuple[list[Key], Array]:
        """Return all vectors of a table: their nodes' keys, and float32 [keys, length]."""
        node = self._schema.node(table)
        length = node.length_of(vector)
        keys, values = self._all_vectors(node, vector)
        return keys, values.reshape(-1, length)

    def all_links(self, edge: str) -> pa.Table:
        """Return all edges of a table: columns ``from``, ``to`` and its properties, unordered."""
        return self._all_links(self._schema.edge(edge))

    def missing(self, table: str, vector: str) -> list[Key]:
        """Return the keys of nodes without such a vector, in order."""
        node = self._schema.node(table)
        node.length_of(vector)
        lacking = Condition(vector, "missing", None)
        return [key for (key,) in self._find(node, (KEY,), [lacking], KEY, False, None)]

    def _lookup(
        self, node: NodeTable, keys: Sequence[Key], columns: Sequence[str]
    ) -> Iterable[Values]:
        wanted = check_keys(node, keys)
        return self._get(node, wanted, columns) if wanted else []

    @abstractmethod
    def refresh(self) -> bool:
        """Move to the newest published state; True if there was a newer one."""

    @abstractmethod
    def close(self) -> None:
        """Release the database."""

    @abstractmethod
    def _count(self, node: NodeTable, found: Conditions) -> int: ...

    @abstractmethod
    def _get(
        self, node: NodeTable, keys: list[Key], columns: Sequence[str]
    ) -> Iterable[Values]: ...

    @abstractmethod
    def _find(
        self,
        node: NodeTable,
        columns: Sequence[str],
        found: Conditions,
        order: str,
        descending: bool,
        limit: int | None,
    ) -> Iterable[Values]: ...

    @abstractmethod
    def _links(
        self, edge: EdgeTable, keys: list[Key], side: Side, found: Conditions, limit: int
    ) -> Iterable[Values]:
        """Rows of source, target and all properties."""

    @abstractmethod
    def _all_links(self, edge: EdgeTable) -> pa.Table: ...

    @abstractmethod
    def _all_vectors(self, node: NodeTable, vector: str) -> tuple[list[Key], Array]:
        """Keys, and their vectors, float32."""

    @abstractmethod
    def _degrees(self, edge: EdgeTable, side: Side, found: Conditions) -> Iterable[Values]:
        """Rows of key and number."""

    @abstractmethod
    def _neighbours(
        self,
        start: tuple[str, Key],
        reached: NodeTable,
        edges: list[EdgeTable],
        direction: Direction,
        hops: int,
        found: Conditions,
        limit: int,
    ) -> Iterable[Values]: ...

    @abstractmethod
    def _common(
        self,
        node: NodeTable,
        keys: list[Key],
        edges: list[EdgeTable],
        among: list[Key] | None,
        found: Conditions,
        limit: int,
    ) -> Iterable[Values]: ...

    @abstractmethod
    def _nearest(
        self, node: NodeTable, vector: str, query: Array, k: int, found: Conditions, exact: bool
    ) -> Iterable[Values]: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class Writer(Store):
    """A graph to write, by one writer at a time.

    A writer reads its own changes. The end of a ``with`` block publishes, unless an error ends it:
    then changes since the last :meth:`publish` are dropped. In ArangoDB this holds for a new store;
    changes to an existing one are visible, and kept, as they are made.
    """

    _batch: ClassVar[int]
    """Vectors set by one statement."""

    def load_nodes(self, table: str, rows: Source) -> int:
        """Add nodes and return their number.

        Columns are ``id`` and any of the table's properties and vectors. They are cast to the
        schema's types where that loses nothing.

        Raises:
            InvalidInput: a column is missing, unknown or of another type, or an ``id`` occurs
                twice; the writer can then only be closed.
        """
        from naiad.applications.store.rows import node_rows

        node, count = self._schema.node(table), 0
        for chunk in node_rows(node, rows):
            self._load_nodes(node, chunk)
            count += chunk.num_rows
        return count

    def load_edges(self, edge: str, rows: Source) -> int:
        """Add edges and return their number.

        Columns are ``from``, ``to`` and any of the table's properties.

        Raises:
            InvalidInput: as :meth:`load_nodes`, or a node does not exist.
        """
        from naiad.applications.store.rows import edge_rows

        table, count = self._schema.edge(edge), 0
        for chunk in edge_rows(self._schema, table, rows):
            self._load_edges(table, chunk)
            count += chunk.num_rows
        return count

    def set_vectors(self, table: str, vector: str, keys: Sequence[Key], values: Array) -> None:
        """Set the vectors of nodes: float32 [keys, length].

        Raises:
            InvalidInput: the shape is wrong, a number is not finite, or a node does not exist.
        """
        node = self._schema.node(table)
        values = check_values(node, vector, keys, values)
        there = {row[0] for row in self._lookup(node, keys, (KEY,))}
        for key in keys:
            if key not in there:
                raise InvalidInput(f"{table} has no node {key!r}, for which a vector is given")
        for start in range(0, len(keys), self._batch):
            part = slice(start, start + self._batch)
            self._set_vectors(node, vector, list(keys[part]), values[part])

    @abstractmethod
    def publish(self) -> None:
        """Make all changes visible at once; index the vectors that many nodes have."""

    def _finish(self) -> object:
        """Publish at the end of a ``with`` block."""
        return self.publish()

    @abstractmethod
    def _load_nodes(self, node: NodeTable, rows: pa.Table) -> None: ...

    @abstractmethod
    def _load_edges(self, edge: EdgeTable, rows: pa.Table) -> None: ...

    @abstractmethod
    def _set_vectors(
        self, node: NodeTable, vector: str, keys: list[Key], values: Array
    ) -> None: ...

    def refresh(self) -> bool:
        """Return False: there is no other writer whose changes could be missed."""
        return False

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self._finish()
        finally:
            self.close()
