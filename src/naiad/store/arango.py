"""The graph store in ArangoDB, a database server, through python-arango.

Not run against a live server: it was written from ArangoDB's documentation (3.11 and 3.12), and is
tested against exchanges written down from it.

Every table is a collection ``TABLE_gN``, N the number of the store's generation: a store that is
made anew replaces another at once. Changes to a published store are seen as they are made. The
collection ``naiad_store`` has the schema, the generation and the writer's lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from naiad.errors import InvalidInput, StoreError
from naiad.schema import Array
from naiad.store.aql import Query
from naiad.store.arango_server import META, ArangoServer, document_key
from naiad.store.checks import (
    check_edges,
    check_hops,
    check_keys,
    check_limit,
    check_query,
)
from naiad.store.filters import Where, conditions
from naiad.store.protocol import Common, Direction, Hit, Link, Neighbour, Record, Route
from naiad.store.schema import KEY, GraphSchema, Key, NodeTable

if TYPE_CHECKING:
    from typing_extensions import Self


class ArangoStore:
    """A published graph, to read: a :class:`~naiad.store.Store`.

    Args:
        url: ``arangodb://user:password@host:port/database``, or ``arangodbs://`` for TLS; the
            password may be in the environment variable ``NAIAD_ARANGO_PASSWORD`` instead.

    Raises:
        StoreError: the server cannot be reached, or has no store, or it is half loaded.
        InvalidInput: the URL is none.
    """

    def __init__(self, url: str) -> None:
        self._server = ArangoServer(url)
        self._open()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._server.name!r})"

    @property
    def schema(self) -> GraphSchema:
        """The tables of the graph."""
        return self._schema

    def _open(self) -> None:
        found = self._server.meta("schema") if self._server.has(META) else None
        if found is None:
            half = self._server.has(META) and self._server.meta("lock") is not None
            name = self._server.name
            raise StoreError(
                f"the graph store at {name} is half loaded: nothing was published. It is being "
                "loaded, or loading was interrupted: then load it again"
                if half
                else f"there is no graph store at {name}"
            )
        self._schema = GraphSchema.from_json(found["schema"])
        self._generation = int(found["generation"])
        self._publications = int(found["publications"])
        self._indexed = {tuple(pair) for pair in found["indexed"]}
        self._approximate_from = int(found["approximate_from"])

    def _collection(self, table: str) -> str:
        return f"{table}_g{self._generation}"

    def _id(self, table: str, key: Key) -> str:
        return f"{self._collection(table)}/{document_key(key)}"

    def refresh(self) -> bool:
        """Look at what was published since; whether anything was."""
        before = (self._generation, self._publications)
        self._open()
        return (self._generation, self._publications) != before

    def close(self) -> None:
        """Let go of the connections."""
        self._server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def count(self, table: str, where: Where | None = None) -> int:
        """How many nodes there are."""
        query = Query()
        filters = query.filters(conditions(self._schema.node(table), where), "n")
        nodes = query.collection(self._collection(table))
        text = f"FOR n IN {nodes} {filters} COLLECT WITH COUNT INTO number RETURN number"
        return self._server.run(text, query.bind)[0]

    def get(self, table: str, keys: Sequence[Key]) -> list[Record | None]:
        """The nodes with these keys, in their order; None for one that is not there."""
        node = self._schema.node(table)
        rows = self._by_key(table, check_keys(node, keys), list(node.columns))
        found = {row[KEY]: _record(node, row) for row in rows}
        return [found.get(key) for key in keys]

    def _by_key(self, table: str, keys: list[Key], columns: list[str]) -> list[dict[str, Any]]:
        if not keys:
            return []
        query = Query()
        nodes = query.collection(self._collection(table))
        wanted = query.value([document_key(key) for key in keys])
        text = f"FOR n IN {nodes} FILTER n._key IN {wanted} RETURN KEEP(n, {query.value(columns)})"
        return self._server.run(text, query.bind)

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
        query = Query()
        filters = query.filters(conditions(node, where), "n")
        column = f"n[{query.value(order)}]"
        rows = self._server.run(
            f"FOR n IN {query.collection(self._collection(table))} {filters} "
            f"SORT {column} == null, {column} {'DESC' if descending else 'ASC'}, n.id "
            f"LIMIT {query.value(check_limit(limit))} "
            f"RETURN KEEP(n, {query.value(list(node.columns))})",
            query.bind,
        )
        return [_record(node, row) for row in rows]

    def links(
        self,
        edge: str,
        keys: Sequence[Key],
        *,
        side: Literal["source", "target"] = "source",
        where: Where | None = None,
        limit: int = 100_000,
    ) -> list[Link]:
        """Edges whose source (or target) is among ``keys``, by source and target."""
        table = self._schema.edge(edge)
        given = table.source if side == "source" else table.target
        ids = [self._id(given, key) for key in check_keys(self._schema.node(given), keys)]
        query = Query()
        filters = query.filters(conditions(table, where), "e")
        limited = query.value(check_limit(limit))
        if not ids:
            return []
        end = "_from" if side == "source" else "_to"
        rows = self._server.run(
            f"FOR e IN {query.collection(self._collection(edge))} "
            f"FILTER e.{end} IN {query.value(ids)} {filters} SORT e.from, e.to LIMIT {limited} "
            f"RETURN [e.from, e.to, KEEP(e, {query.value(list(table.properties))})]",
            query.bind,
        )
        return [
            Link(edge, source, target, {name: found.get(name) for name in table.properties})
            for source, target, found in rows
        ]

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
        found = conditions(self._schema.node(to), where)
        query = Query()
        start = query.value(self._id(table, key))
        along = query.along(self._edges(edges), direction, start, query.value(check_hops(hops)))
        rows = self._server.run(
            f"{self._involving(query)} FOR n, e, p {along} "
            "OPTIONS {order: 'bfs', uniqueVertices: 'global'} "
            f"FILTER IS_SAME_COLLECTION({query.value(self._collection(to))}, n) "
            f"FILTER n._id != {start} {query.filters(found, 'n')} "
            f"LET hops = LENGTH(p.edges) SORT hops, n.id LIMIT {query.value(check_limit(limit))} "
            "RETURN [n.id, hops]",
            query.bind,
        )
        return [Neighbour(*row) for row in rows]

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
        query = Query()
        first, last = query.value(self._id(*start)), query.value(self._id(*end))
        shortest = query.shortest(self._edges(edges), direction, first, last)
        rows = self._server.run(
            f"{self._involving(query)} FOR p {shortest} "
            f"FILTER LENGTH(p.edges) <= {query.value(check_hops(hops))} "
            f"LIMIT {query.value(check_limit(limit))} "
            "RETURN {nodes: p.vertices[*]._id, keys: p.vertices[*].id, edges: p.edges[*]._id}",
            query.bind,
        )
        return [
            Route(
                tuple(zip(map(self._table, row["nodes"]), row["keys"], strict=True)),
                tuple(map(self._table, row["edges"])),
            )
            for row in rows
        ]

    def _table(self, identifier: str) -> str:
        """The table of a document, by its ``_id``."""
        return identifier.partition("/")[0].removesuffix(f"_g{self._generation}")

    def _edges(self, edges: Sequence[str]) -> list[str]:
        return [self._collection(edge.name) for edge in check_edges(self._schema, edges)]

    def _involving(self, query: Query) -> str:
        return query.involving(self._collection(node.name) for node in self._schema.nodes)

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
        tables = check_edges(self._schema, edges)
        ids = [self._id(table, key) for key in check_keys(self._schema.node(table), keys)]
        found, *_ = [conditions(each, where) for each in tables]  # it must be right for all
        query = Query()
        limited = query.value(check_limit(limit))
        if not ids:
            return []
        starts = query.value(ids)
        names = self._edges(edges)
        rows = self._server.run(
            f"{self._involving(query)} LET between = (FOR a IN {starts} "
            f"FOR x, e {query.along(names, 'both', 'a', '1')} {query.filters(found, 'e')} "
            "RETURN DISTINCT x._id) "
            f"FOR x IN between FOR b, f {query.along(names, 'both', 'x', '1')} "
            f"FILTER IS_SAME_COLLECTION({query.value(self._collection(table))}, b) "
            f"FILTER b._id NOT IN {starts} {query.filters(found, 'f')} "
            "COLLECT key = b.id AGGREGATE common = COUNT_DISTINCT(x) "
            f"SORT common DESC, key LIMIT {limited} RETURN [key, common]",
            query.bind,
        )
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
        """The ``k`` nodes whose vector has the largest cosine with ``query``.

        The index is asked only where there is no ``where``.
        """
        node = self._schema.node(table)
        values = check_query(node, vector, query).tolist()
        found = conditions(node, where)
        text = Query()
        nodes = text.collection(self._collection(table))
        column, wanted = text.value(vector), text.value(values)
        limited = text.value(check_limit(k, "k"))
        if (table, vector) in self._indexed and not (found or exact):
            rows = self._server.run(
                f"FOR n IN {nodes} LET score = APPROX_NEAR_COSINE(n.{column}, {wanted}) "
                f"SORT score DESC LIMIT {limited} RETURN [n.id, score]",
                text.bind,
            )
        else:
            rows = self._server.run(
                f"FOR n IN {nodes} FILTER n[{column}] != null {text.filters(found, 'n')} "
                f"LET score = NOT_NULL(COSINE_SIMILARITY(n[{column}], {wanted}), 0) "
                f"SORT score DESC, n.id LIMIT {limited} RETURN [n.id, score]",
                text.bind,
            )
        return [Hit(*row) for row in rows]

    def vectors(self, table: str, vector: str, keys: Sequence[Key]) -> dict[Key, Array]:
        """The vectors, float32, of those of ``keys`` that have one."""
        node = self._schema.node(table)
        node.length_of(vector)
        rows = self._by_key(table, check_keys(node, keys), [KEY, vector])
        return {
            row[KEY]: np.array(row[vector], np.float32)
            for row in rows
            if row.get(vector) is not None
        }

    def missing(self, table: str, vector: str) -> list[Key]:
        """The keys of nodes that have no such vector, in order."""
        self._schema.node(table).length_of(vector)
        query = Query()
        return self._server.run(
            f"FOR n IN {query.collection(self._collection(table))} "
            f"FILTER n[{query.value(vector)}] == null SORT n.id RETURN n.id",
            query.bind,
        )


def exists(url: str) -> bool:
    """Whether a store was published there.

    Raises:
        StoreError: the server cannot be reached.
    """
    try:
        ArangoStore(url).close()
    except StoreError as error:
        if "there is no graph store" in str(error) or "is half loaded" in str(error):
            return False
        raise
    return True


def _record(node: NodeTable, row: dict[str, Any]) -> Record:
    return {name: row.get(name) for name in node.columns}
