"""The writer of a graph store in ArangoDB."""

from __future__ import annotations

import os
import socket
from typing import Any, Final
from urllib.parse import unquote

import pyarrow as pa
from arango.exceptions import ArangoError

from naiad.applications.store.arango import ArangoStore
from naiad.applications.store.arango_server import META, ArangoServer, document_key
from naiad.applications.store.base import Writer
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
from naiad.errors import InvalidInput, StoreError

APPROXIMATE_FROM: Final = 100_000
"""Default number of nodes from which a vector gets a vector index."""

_NOT_UNIQUE = 1210  # ArangoDB's error number


class ArangoWriter(Writer, ArangoStore):
    """The :class:`~naiad.applications.store.Writer` of a store; use it as a context manager.

    Args:
        url: the URL of the store, as for `ArangoStore`.
        schema: the schema of a new store, which replaces an existing one; None to change the
            existing one, which others see as it happens.
        approximate_from: number of nodes from which a vector gets a vector index, if the server
            has them (3.12.4 and later); None to keep the store's own, or :data:`APPROXIMATE_FROM`.

    Raises:
        StoreError: another process is writing to the store, or there is no store to change.
    """

    _batch = 2_000  # also the number of documents per request

    def __init__(
        self,
        url: str,
        schema: GraphSchema | None = None,
        *,
        approximate_from: int | None = None,
    ) -> None:
        self._server = ArangoServer(url)
        self._approximate_from = APPROXIMATE_FROM
        self._old: GraphSchema | None = None
        self._published = schema is None
        self._closed = False
        if schema is None:
            self._open()
        if approximate_from is not None:
            self._approximate_from = approximate_from
        if schema is None:
            self._take_lock()
            return
        if not self._server.has(META):
            self._create(META, edge=False)
        self._take_lock()
        try:
            self._make(schema)
        except BaseException:
            self.close()
            raise

    def _make(self, schema: GraphSchema) -> None:
        self._schema = schema
        self._indexed: set[tuple[str, ...]] = set()
        self._generation = 1
        self._publications = 0
        found = self._server.meta("schema")
        if found is not None:
            self._generation += int(found["generation"])
            self._old = GraphSchema.from_json(found["schema"])
        self._drop(schema, self._generation)  # remains of an interrupted writer
        for node in schema.nodes:
            self._create(self._collection(node.name), edge=False)
        for edge in schema.edges:
            self._create(self._collection(edge.name), edge=True)

    def _create(self, name: str, *, edge: bool) -> None:
        self._server.call(lambda: self._server.database.create_collection(name, edge=edge))

    def _take_lock(self) -> None:
        owner = f"{socket.gethostname()} process {os.getpid()}"
        try:
            self._insert(META, [{"_key": "lock", "owner": owner}])
        except _NotUnique:
            holder = (self._server.meta("lock") or {}).get("owner", "another process")
            self._server.close()
            raise StoreError(
                f"the graph store at {self._server.name} is locked: another process is writing to "
                f"it: {holder}. Readers are not affected; to write, wait for that process to end, "
                f"or remove the document {META}/lock if the process was killed"
            ) from None

    def _insert(self, collection: str, rows: list[dict[str, Any]]) -> None:
        text = "FOR row IN @rows INSERT row INTO @@collection"
        try:
            self._server.run(text, {"rows": rows, "@collection": collection})
        except StoreError as error:
            if getattr(error.__cause__, "error_code", None) == _NOT_UNIQUE:
                key = str(error).rpartition("conflicting key: ")[2].split(" ")[0].strip("'\";,.")
                raise _NotUnique(unquote(key)) from None
            raise

    def _drop(self, schema: GraphSchema, generation: int) -> None:
        for table in (*schema.nodes, *schema.edges):
            name = f"{table.name}_g{generation}"
            self._server.call(
                lambda n=name: self._server.database.delete_collection(n, ignore_missing=True)
            )

    def _load_nodes(self, node: NodeTable, rows: pa.Table) -> None:
        for batch in rows.to_batches(self._batch):
            documents = [
                {"_key": document_key(row[KEY]), **_present(row)} for row in batch.to_pylist()
            ]
            try:
                self._insert(self._collection(node.name), documents)
            except _NotUnique as error:
                raise InvalidInput(f"{node.name}: the id {error} occurs twice") from None

    def _load_edges(self, edge: EdgeTable, rows: pa.Table) -> None:
        for batch in rows.to_batches(self._batch):
            documents = [
                {
                    "_from": self._id(edge.source, row[SOURCE]),
                    "_to": self._id(edge.target, row[TARGET]),
                    **_present(row),
                }
                for row in batch.to_pylist()
            ]
            self._check_ends(edge.name, documents)
            self._insert(self._collection(edge.name), documents)

    def _check_ends(self, edge: str, documents: list[dict[str, Any]]) -> None:
        ends = sorted({end for row in documents for end in (row["_from"], row["_to"])})
        lost = self._server.run(
            "FOR end IN @ends FILTER DOCUMENT(end) == null LIMIT 1 RETURN end", {"ends": ends}
        )
        if lost:
            key = unquote(lost[0].partition("/")[2])
            raise InvalidInput(f"{edge}: an edge refers to the node {key}, which does not exist")

    def _set_vectors(self, node: NodeTable, vector: str, keys: list[Key], values: Array) -> None:
        rows = [
            {"key": document_key(key), "value": value}
            for key, value in zip(keys, values.tolist(), strict=True)
        ]
        self._server.run(
            "FOR row IN @rows UPDATE {_key: row.key, [@vector]: row.value} IN @@nodes",
            {"rows": rows, "vector": vector, "@nodes": self._collection(node.name)},
        )

    def publish(self) -> None:
        """Publish what was written; index the vectors that many nodes have."""
        for node in self._schema.nodes:
            for vector in node.vectors:
                self._index(node, vector)
        self._publications += 1
        document = {
            "_key": "schema",
            "schema": self._schema.to_json(),
            "generation": self._generation,
            "publications": self._publications,
            "indexed": sorted(self._indexed),
            "approximate_from": self._approximate_from,
        }
        self._server.run(
            "UPSERT {_key: @row._key} INSERT @row REPLACE @row IN @@meta",
            {"row": document, "@meta": META},
        )
        if self._old is not None:
            self._drop(self._old, self._generation - 1)
        self._old, self._published = None, True

    def _index(self, node: NodeTable, vector: str) -> None:
        number = self.count(node.name)
        if (node.name, vector) in self._indexed or number < self._approximate_from:
            return
        if self.missing(node.name, vector):
            return  # up to 3.12.8 every document of an indexed collection needs the vector
        index = {
            "type": "vector",
            "fields": [vector],
            "params": {
                "metric": "cosine",
                "dimension": node.length_of(vector),
                "nLists": round(number**0.5),
            },
        }
        collection = self._server.database.collection(self._collection(node.name))
        try:
            collection.add_index(index)
        except ArangoError:
            return  # a server without vector indexes: the search is exact
        self._indexed.add((node.name, vector))

    def close(self) -> None:
        """Drop a new store that was not published, and release the lock."""
        if self._closed:
            return
        self._closed = True
        try:
            if not self._published:
                self._drop(self._schema, self._generation)
            self._server.run(
                "FOR n IN @@meta FILTER n._key == @key REMOVE n IN @@meta",
                {"@meta": META, "key": "lock"},
            )
        finally:
            super().close()


class _NotUnique(Exception):
    """A document with this key exists; the message is the key."""


def _present(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value is not None}
