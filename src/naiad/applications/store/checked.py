"""What the stores have in common: all that is asked is checked before a database sees it.

The methods are those of :class:`~naiad.applications.store.Store`. Each hands on what it was asked,
checked, to one that a database has to have: ``get`` to ``_get``, with tables instead of their
names, keys without repetitions, and conditions instead of ``where``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Literal

from naiad.applications.store.checks import (
    check_edges,
    check_hops,
    check_keys,
    check_limit,
    check_query,
)
from naiad.applications.store.filters import Condition, Where, conditions
from naiad.applications.store.protocol import Common, Direction, Hit, Link, Neighbour, Record, Route
from naiad.applications.store.schema import KEY, EdgeTable, GraphSchema, Key, NodeTable
from naiad.core.schema import Array
from naiad.errors import InvalidInput

if TYPE_CHECKING:
    from typing_extensions import Self

Conditions = Sequence[Condition]
Side = Literal["source", "target"]


class CheckedStore(ABC):
    """A graph to read from."""

    _schema: GraphSchema

    @property
    def schema(self) -> GraphSchema:
        """The tables of the graph."""
        return self._schema

    def count(self, table: str, where: Where | None = None) -> int:
        """How many nodes there are."""
        node = self._schema.node(table)
        return self._count(node, conditions(node, where))

    @abstractmethod
    def _count(self, node: NodeTable, found: Conditions) -> int: ...

    def get(self, table: str, keys: Sequence[Key]) -> list[Record | None]:
        """The nodes with these keys, in their order; None for one that is not there."""
        node = self._schema.node(table)
        wanted = check_keys(node, keys)
        found = {record[KEY]: record for record in self._get(node, wanted)} if wanted else {}
        return [found.get(key) for key in keys]

    @abstractmethod
    def _get(self, node: NodeTable, keys: list[Key]) -> list[Record]: ...

    def find(
        self,
        table: str,
        where: Where | None = None,
        *,
        order: str = KEY,
        descending: bool = False,
        limit: int = 100,
    ) -> list[Record]:
        """Nodes by a property's order, then by key; those without the property come last."""
        node = self._schema.node(table)
        node.type_of(order)
        return self._find(node, conditions(node, where), order, descending, check_limit(limit))

    @abstractmethod
    def _find(
        self, node: NodeTable, found: Conditions, order: str, descending: bool, limit: int
    ) -> list[Record]: ...

    def links(
        self,
        edge: str,
        keys: Sequence[Key],
        *,
        side: Side = "source",
        where: Where | None = None,
        limit: int = 100_000,
    ) -> list[Link]:
        """Edges whose source (or target) is among ``keys``, by source and target."""
        table = self._schema.edge(edge)
        given = self._schema.node(table.source if side == "source" else table.target)
        wanted, found = check_keys(given, keys), conditions(table, where)
        check_limit(limit)
        return self._links(table, wanted, side, found, limit) if wanted else []

    @abstractmethod
    def _links(
        self, edge: EdgeTable, keys: list[Key], side: Side, found: Conditions, limit: int
    ) -> list[Link]: ...

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
        """Nodes of table ``to`` within ``hops`` along ``edges``, the closest first, then by key."""
        check_keys(self._schema.node(table), [key])
        reached = self._schema.node(to)
        found = conditions(reached, where)
        tables = check_edges(self._schema, edges)
        hops, limit = check_hops(hops), check_limit(limit)
        return self._neighbours((table, key), reached, tables, direction, hops, found, limit)

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
    ) -> list[Neighbour]: ...

    def paths(
        self,
        start: tuple[str, Key],
        end: tuple[str, Key],
        edges: Sequence[str],
        *,
        direction: Direction = "both",
        hops: int = 4,
        limit: int = 10,
    ) -> list[Route]:
        """The shortest paths between two nodes, all of one length, at most ``hops`` edges long."""
        for table, key in (start, end):
            check_keys(self._schema.node(table), [key])
        if start == end:
            raise InvalidInput(f"a path from {start} to itself has no edges")
        tables = check_edges(self._schema, edges)
        return self._paths(start, end, tables, direction, check_hops(hops), check_limit(limit))

    @abstractmethod
    def _paths(
        self,
        start: tuple[str, Key],
        end: tuple[str, Key],
        edges: list[EdgeTable],
        direction: Direction,
        hops: int,
        limit: int,
    ) -> list[Route]: ...

    def common(
        self,
        table: str,
        keys: Sequence[Key],
        edges: Sequence[str],
        *,
        where: Where | None = None,
        limit: int = 100,
    ) -> list[Common]:
        """Other nodes of ``table`` by how many neighbours they share with any of ``keys``."""
        node = self._schema.node(table)
        tables = check_edges(self._schema, edges)
        found, *_ = [conditions(each, where) for each in tables]  # it must be right for all
        wanted = check_keys(node, keys)
        check_limit(limit)
        return self._common(node, wanted, tables, found, limit) if wanted else []

    @abstractmethod
    def _common(
        self,
        node: NodeTable,
        keys: list[Key],
        edges: list[EdgeTable],
        found: Conditions,
        limit: int,
    ) -> list[Common]: ...

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
        """The ``k`` nodes whose vector has the largest cosine with ``query``, float32 [length]."""
        node = self._schema.node(table)
        values = check_query(node, vector, query)
        found = conditions(node, where)
        return self._nearest(node, vector, values, check_limit(k, "k"), found, exact)

    @abstractmethod
    def _nearest(
        self, node: NodeTable, vector: str, query: Array, k: int, found: Conditions, exact: bool
    ) -> list[Hit]: ...

    def vectors(self, table: str, vector: str, keys: Sequence[Key]) -> dict[Key, Array]:
        """The vectors, float32, of those of ``keys`` that have one."""
        node = self._schema.node(table)
        node.length_of(vector)
        wanted = check_keys(node, keys)
        return self._vectors(node, vector, wanted) if wanted else {}

    @abstractmethod
    def _vectors(self, node: NodeTable, vector: str, keys: list[Key]) -> dict[Key, Array]: ...

    def missing(self, table: str, vector: str) -> list[Key]:
        """The keys of nodes that have no such vector, in order."""
        node = self._schema.node(table)
        node.length_of(vector)
        return self._missing(node, vector)

    @abstractmethod
    def _missing(self, node: NodeTable, vector: str) -> list[Key]: ...

    @abstractmethod
    def close(self) -> None:
        """Let go of the database."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
