"""The graph store in ArangoDB, a database server, through python-arango.

Never run against a live server: written from ArangoDB's documentation (3.11 and 3.12) and tested
against exchanges taken from it.

Every table is a collection ``TABLE_gN``, where N is the store's generation, so a new store replaces
the old one at once. Changes to a published store are visible as they are made. The collection
``naiad_store`` holds the schema, the generation and the writer's lock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from naiad.applications.store.aql import Query
from naiad.applications.store.arango_server import META, ArangoServer, document_key
from naiad.applications.store.base import Conditions, Direction, Side, Store, Values
from naiad.applications.store.schema import (
    KEY,
    SOURCE,
    TARGET,
    EdgeTable,
    GraphSchema,
    Key,
    NodeTable,
)
from naiad.core.schema import Array
from naiad.errors import StoreError

if TYPE_CHECKING:
    import pyarrow as pa


class ArangoStore(Store):
    """A published graph, read-only: a :class:`~naiad.applications.store.Store`.

    Args:
        url: ``arangodb://user:password@host:port/database``, or ``arangodbs://`` for TLS; the
            password may be in the environment variable ``NAIAD_ARANGO_PASSWORD`` instead.

    Raises:
        StoreError: the server is out of reach, or its store is missing or incomplete.
        InvalidInput: the URL is not valid.
    """

    def __init__(self, url: str) -> None:
        self._server = ArangoServer(url)
        self._open()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._server.name!r})"

    def _open(self) -> None:
        found = self._server.meta("schema") if self._server.has(META) else None
        if found is None:
            half = self._server.has(META) and self._server.meta("lock") is not None
            name = self._server.name
            raise StoreError(
                f"the graph store at {name} is incomplete: nothing has been published. Wait for "
                "loading to finish; if it was interrupted, load the store again"
                if half
                else f"no graph store at {name}"
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
        """Move to the newest published state; True if there was a newer one."""
        before = (self._generation, self._publications)
        self._open()
        return (self._generation, self._publications) != before

    def close(self) -> None:
        """Close the connections."""
        self._server.close()

    def _count(self, node: NodeTable, found: Conditions) -> int:
        query = Query()
        filters = query.filters(found, "n")
        nodes = query.collection(self._collection(node.name))
        text = f"FOR n IN {nodes} {filters} COLLECT WITH COUNT INTO number RETURN number"
        return self._server.run(text, query.bind)[0]

    def _get(self, node: NodeTable, keys: list[Key], columns: Sequence[str]) -> Iterable[Values]:
        query = Query()
        nodes = query.collection(self._collection(node.name))
        wanted = query.value([document_key(key) for key in keys])
        kept = query.value(list(columns))
        text = f"FOR n IN {nodes} FILTER n._key IN {wanted} RETURN KEEP(n, {kept})"
        return _values(columns, self._server.run(text, query.bind))

    def _find(
        self,
        node: NodeTable,
        columns: Sequence[str],
        found: Conditions,
        order: str,
        descending: bool,
        limit: int | None,
    ) -> Iterable[Values]:
        query = Query()
        nodes, filters = query.collection(self._collection(node.name)), query.filters(found, "n")
        column = f"n[{query.value(order)}]"
        sorting = f"{column} == null, {column}{' DESC' if descending else ''}"
        limited = "" if limit is None else f"LIMIT {query.value(limit)} "
        rows = self._server.run(
            f"FOR n IN {nodes} {filters} SORT {sorting}, n.id "
            f"{limited}RETURN KEEP(n, {query.value(list(columns))})",
            query.bind,
        )
        return _values(columns, rows)

    def _links(
        self, edge: EdgeTable, keys: list[Key], side: Side, found: Conditions, limit: int
    ) -> Iterable[Values]:
        given, end = (edge.source, "_from") if side == "source" else (edge.target, "_to")
        query = Query()
        filters = query.filters(found, "e")
        limited = query.value(limit)
        ids = [self._id(given, key) for key in keys]
        rows = self._server.run(
            f"FOR e IN {query.collection(self._collection(edge.name))} "
            f"FILTER e.{end} IN {query.value(ids)} {filters} SORT e.from, e.to LIMIT {limited} "
            f"RETURN KEEP(e, {query.value([SOURCE, TARGET, *edge.properties])})",
            query.bind,
        )
        return _values((SOURCE, TARGET, *edge.properties), rows)

    def _all_links(self, edge: EdgeTable) -> pa.Table:
        import pyarrow as pa

        query, columns = Query(), (SOURCE, TARGET, *edge.properties)
        rows = self._server.run(
            f"FOR e IN {query.collection(self._collection(edge.name))} "
            f"RETURN KEEP(e, {query.value(list(columns))})",
            query.bind,
        )
        return pa.table({name: [row.get(name) for row in rows] for name in columns})

    def _all_vectors(self, node: NodeTable, vector: str) -> tuple[list[Key], Array]:
        rows = [row for row in self._find(node, (KEY, vector), [], KEY, False, None) if row[1]]
        return [key for key, _ in rows], np.array([value for _, value in rows], np.float32)

    def _degrees(self, edge: EdgeTable, side: Side, found: Conditions) -> Iterable[Values]:
        query = Query()
        edges = query.collection(self._collection(edge.name))
        end = query.value(SOURCE if side == "source" else TARGET)
        return self._server.run(
            f"FOR e IN {edges} {query.filters(found, 'e')} "
            f"COLLECT key = e[{end}] WITH COUNT INTO number RETURN [key, number]",
            query.bind,
        )

    def _neighbours(
        self,
        start: tuple[str, Key],
        reached: NodeTable,
        edges: list[EdgeTable],
        direction: Direction,
        hops: int,
        found: Conditions,
        limit: int,
    ) -> Iterable[Values]:
        query = Query()
        first = query.value(self._id(*start))
        along = query.along(self._edges(edges), direction, first, query.value(hops))
        return self._server.run(
            f"{self._involving(query)} FOR n, e, p {along} "
            "OPTIONS {order: 'bfs', uniqueVertices: 'global'} "
            f"FILTER IS_SAME_COLLECTION({query.value(self._collection(reached.name))}, n) "
            f"FILTER n._id != {first} {query.filters(found, 'n')} "
            f"LET hops = LENGTH(p.edges) SORT hops, n.id LIMIT {query.value(limit)} "
            "RETURN [n.id, hops]",
            query.bind,
        )

    def _edges(self, edges: Sequence[EdgeTable]) -> list[str]:
        return [self._collection(edge.name) for edge in edges]

    def _involving(self, query: Query) -> str:
        return query.involving(self._collection(node.name) for node in self._schema.nodes)

    def _common(
        self,
        node: NodeTable,
        keys: list[Key],
        edges: list[EdgeTable],
        among: list[Key] | None,
        found: Conditions,
        limit: int,
    ) -> Iterable[Values]:
        query = Query()
        limited = query.value(limit)
        starts = query.value([self._id(node.name, key) for key in keys])
        names = self._edges(edges)
        only = "" if among is None else f"FILTER b.id IN {query.value(among)} "
        return self._server.run(
            f"{self._involving(query)} LET between = (FOR a IN {starts} "
            f"FOR x, e {query.along(names, 'both', 'a', '1')} {query.filters(found, 'e')} "
            "RETURN DISTINCT x._id) "
            f"FOR x IN between FOR b, f {query.along(names, 'both', 'x', '1')} "
            f"FILTER IS_SAME_COLLECTION({query.value(self._collection(node.name))}, b) "
            f"FILTER b._id NOT IN {starts} {only}{query.filters(found, 'f')} "
            "COLLECT key = b.id AGGREGATE common = COUNT_DISTINCT(x) "
            f"SORT common DESC, key LIMIT {limited} RETURN [key, common]",
            query.bind,
        )

    def _nearest(
        self, node: NodeTable, vector: str, query: Array, k: int, found: Conditions, exact: bool
    ) -> Iterable[Values]:
        """Search by the index if there are no conditions, else exactly."""
        text = Query()
        nodes = text.collection(self._collection(node.name))
        column, wanted = text.value(vector), text.value(query.tolist())
        limited = text.value(k)
        if (node.name, vector) in self._indexed and not (found or exact):
            return self._server.run(
                f"FOR n IN {nodes} LET score = APPROX_NEAR_COSINE(n.{column}, {wanted}) "
                f"SORT score DESC LIMIT {limited} RETURN [n.id, score]",
                text.bind,
            )
        return self._server.run(
            f"FOR n IN {nodes} FILTER n[{column}] != null {text.filters(found, 'n')} "
            f"LET score = NOT_NULL(COSINE_SIMILARITY(n[{column}], {wanted}), 0) "
            f"SORT score DESC, n.id LIMIT {limited} RETURN [n.id, score]",
            text.bind,
        )


def exists(url: str) -> bool:
    """Return whether a store has been published at ``url``.

    Raises:
        StoreError: the server cannot be reached.
    """
    try:
        ArangoStore(url).close()
    except StoreError as error:
        if "no graph store" in str(error) or "is incomplete" in str(error):
            return False
        raise
    return True


def _values(columns: Sequence[str], rows: list[dict[str, Any]]) -> list[Values]:
    """Return rows as lists; documents omit null attributes."""
    return [[row.get(name) for name in columns] for row in rows]
