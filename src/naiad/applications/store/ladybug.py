"""The graph store in Ladybug, an embedded property graph database with Cypher.

https://ladybugdb.com; it is a library and one file. Vectors are searched exactly or, if there are
many, among the candidates that an index beside the file returns.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

from naiad.applications.store import cypher
from naiad.applications.store.base import Conditions, Direction, Side, Store, Values
from naiad.applications.store.cypher import quoted
from naiad.applications.store.edge_memory import EdgeMemory
from naiad.applications.store.schema import KEY, EdgeTable, Key, NodeTable
from naiad.applications.store.snapshots import Manifest, StoreFolder
from naiad.core.schema import Array
from naiad.errors import MissingExtra, StoreError

if TYPE_CHECKING:
    import pyarrow as pa

    from naiad.applications.store.vector_index import VectorIndex

try:
    import ladybug
except ImportError as error:
    raise MissingExtra("store", "ladybug") from error

MEMORY: Final = 512 << 20
"""Default size of the database's buffer pool, in bytes."""

ENGINE: Final = f"ladybug {ladybug.__version__}"

# A generation is removed between reading store.json and opening its file if two others are
# published in that time.
_ATTEMPTS: Final = 5


class LadybugStore(Store):
    """A published graph, read-only: a :class:`~naiad.applications.store.Store`.

    Args:
        path: the folder of the store.
        threads: number of threads per query; 0 for one per core.
        memory: size of the buffer pool, in bytes.

    Raises:
        StoreError: the store is missing, incomplete or damaged.
    """

    _edges_kept: EdgeMemory | None = None

    def __init__(self, path: Path, *, threads: int = 0, memory: int = MEMORY) -> None:
        self._folder = StoreFolder(path)
        self._threads = threads
        self._memory = memory
        self._lock = threading.RLock()
        self._open_published()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._folder.path)!r})"

    def _open_published(self) -> None:
        for attempt in range(_ATTEMPTS):
            stamp = self._folder.stamp()
            manifest = self._folder.manifest()
            try:
                indexes = self._indexes_of(manifest)
                database = self._connect(self._folder.file(manifest.generation), read_only=True)
            except StoreError:
                # A newer generation may have replaced the file.
                if attempt + 1 < _ATTEMPTS and self._folder.stamp() != stamp:
                    continue
                raise
            self._database, self._connection = database
            self._schema, self._stamp, self._indexes = manifest.schema, stamp, indexes
            self._edges_kept = EdgeMemory(self._schema, self._result)
            return

    def _indexes_of(self, manifest: Manifest) -> dict[tuple[str, str], VectorIndex]:
        if not manifest.indexes or find_spec("faiss") is None:
            return {}  # without faiss, search is exact
        from naiad.applications.store.vector_index import VectorIndex

        try:
            return {
                (each.table, each.vector): VectorIndex.load(
                    self._folder.index(manifest.generation, each.table, each.vector), each.number
                )
                for each in manifest.indexes
            }
        except StoreError as error:
            raise StoreError(
                f"{self._folder.path} is damaged: {error}; opening the store for writing and "
                "closing it rebuilds its indexes"
            ) from None

    def _connect(
        self, path: Path, *, read_only: bool
    ) -> tuple[ladybug.Database, ladybug.Connection]:
        if read_only and not path.is_file():
            raise StoreError(f"{self._folder.path} is damaged: {path.name} is missing")
        try:
            database = ladybug.Database(
                path,
                read_only=read_only,
                buffer_pool_size=self._memory,
                max_num_threads=self._threads or os.cpu_count() or 1,
            )
            return database, ladybug.Connection(database)
        except (RuntimeError, ValueError) as error:
            raise StoreError(f"{ENGINE} cannot open {path}: {error}") from error

    def refresh(self) -> bool:
        """Move to the newest published state; True if there was a newer one."""
        with self._lock:
            stamp = self._folder.stamp()
            if stamp is None or stamp == self._stamp:
                return False
            before = (self._connection, self._database)
            self._open_published()  # if this fails, the old state stays open
            for part in before:
                part.close()
            return True

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._connection.close()
            self._database.close()

    def _run(self, query: str, parameters: Mapping[str, Any] | None = None) -> list[list[Any]]:
        with self._lock:
            return cast(list[list[Any]], self._result(query, parameters).get_all())

    def _result(
        self, query: str, parameters: Mapping[str, Any] | None = None
    ) -> ladybug.QueryResult:
        try:
            result = self._connection.execute(query, dict(parameters or {}))
        except RuntimeError as error:
            raise StoreError(f"{self._folder.path}: {error}") from error
        assert not isinstance(result, list)  # one statement has one result
        return result

    def _count(self, node: NodeTable, found: Conditions) -> int:
        parameters: dict[str, Any] = {}
        clause = cypher.where(found, parameters, "n")
        return self._run(f"MATCH (n:{quoted(node.name)}){clause} RETURN count(*)", parameters)[0][0]

    def _get(self, node: NodeTable, keys: list[Key], columns: Sequence[str]) -> Iterable[Values]:
        text = f"{cypher.by_key(node)} RETURN {cypher.record('n', columns)}"
        return self._run(text, {"keys": keys})

    def _find(
        self,
        node: NodeTable,
        columns: Sequence[str],
        found: Conditions,
        order: str,
        descending: bool,
        limit: int | None,
    ) -> Iterable[Values]:
        parameters: dict[str, Any] = {} if limit is None else {"limit": limit}
        clause = cypher.where(found, parameters, "n")
        column = f"n.{quoted(order)}"
        sorting = f"{column}{' DESC' if descending else ''}"
        if order != KEY:
            sorting = f"{column} IS NULL, {sorting}, n.{quoted(KEY)}"
        return self._run(
            f"MATCH (n:{quoted(node.name)}){clause} RETURN {cypher.record('n', columns)} "
            f"ORDER BY {sorting}{'' if limit is None else ' LIMIT $limit'}",
            parameters,
        )

    def _links(
        self, edge: EdgeTable, keys: list[Key], side: Side, found: Conditions, limit: int
    ) -> Iterable[Values]:
        with self._lock:
            edges = self._edges_kept and self._edges_kept.edges(edge, found, len(keys))
        if edges:
            return edges.links(keys, side, limit)
        parameters: dict[str, Any] = {"limit": limit}
        text = cypher.links(edge, side, found, parameters)
        rows: list[list[Any]] = []
        with self._lock:
            # One query for all keys joins with all nodes, however few the keys: on a graph of
            # 9,000 films it took 60 times as long as this query for one key.
            for key in keys:
                rows += self._run(text, parameters | {"key": key})
        rows.sort(key=lambda row: row[:2])
        return rows[:limit]

    def _all_links(self, edge: EdgeTable) -> pa.Table:
        with self._lock:
            return self._result(cypher.all_links(edge)).get_as_arrow(-1)

    def _all_vectors(self, node: NodeTable, vector: str) -> tuple[list[Key], Array]:
        with self._lock:
            found = self._result(cypher.all_vectors(node, vector)).get_as_arrow(-1)
        flat = found["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        return found["key"].to_pylist(), flat.astype(np.float32, copy=False)

    def _degrees(self, edge: EdgeTable, side: Side, found: Conditions) -> Iterable[Values]:
        parameters: dict[str, Any] = {}
        return self._run(cypher.degrees(edge, side, found, parameters), parameters)

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
        table, key = start
        parameters: dict[str, Any] = {"start": key, "limit": limit}
        itself = [f"b.{quoted(KEY)} <> $start"] if reached.name == table else []
        clause = cypher.where(found, parameters, "b", *itself)
        pattern = cypher.arrow(edges, direction, f"* SHORTEST 1..{hops}")
        return self._run(
            f"MATCH (a:{quoted(table)} {{{quoted(KEY)}: $start}}){pattern}"
            f"(b:{quoted(reached.name)}){clause} "
            f"RETURN b.{quoted(KEY)} AS key, length(e) AS hops ORDER BY hops, key LIMIT $limit",
            parameters,
        )

    def _common(
        self,
        node: NodeTable,
        keys: list[Key],
        edges: list[EdgeTable],
        among: list[Key] | None,
        found: Conditions,
        limit: int,
    ) -> Iterable[Values]:
        with self._lock:
            adjacency = self._edges_kept and self._edges_kept.adjacency(node, edges, found)
        if adjacency:
            return adjacency.common(keys, limit, among)
        parameters: dict[str, Any] = {"keys": keys, "limit": limit}
        here = cypher.where(found, parameters, "e")
        others = [f"NOT b.{quoted(KEY)} IN $keys"]
        if among is not None:
            parameters["among"] = among
            others.append(f"b.{quoted(KEY)} IN $among")
        there = cypher.where(found, parameters, "f", *others)
        out, back = cypher.sides(edges, node.name)
        # DISTINCT before the second step: a neighbour may be reached by many paths.
        return self._run(
            f"UNWIND $keys AS key MATCH (a:{quoted(node.name)} {{{quoted(KEY)}: key}})"
            f"{cypher.arrow(edges, out)}(x){here} WITH DISTINCT x "
            f"MATCH (x){cypher.arrow(edges, back, name='f')}(b:{quoted(node.name)}){there} "
            f"RETURN b.{quoted(KEY)} AS key, count(DISTINCT x) AS common "
            "ORDER BY common DESC, key LIMIT $limit",
            parameters,
        )

    def _nearest(
        self, node: NodeTable, vector: str, query: Array, k: int, found: Conditions, exact: bool
    ) -> Iterable[Values]:
        # The query vector is a parameter because parsing it as text takes 20 times as long.
        given: dict[str, Any] = {"query": query.tolist(), "k": k}

        def hits(**more: Any) -> list[list[Any]]:
            parameters = given | more
            return self._run(cypher.nearest(node, vector, found, parameters), parameters)

        with self._lock:
            index = None if exact else self._indexes.get((node.name, vector))
            if index is not None:
                # The more nodes `where` excludes, the more candidates are needed; if it excludes
                # nearly all, an exact search of the rest is faster.
                for number in index.numbers(k):
                    near = hits(keys=index.candidates(query, number))
                    if len(near) == k:
                        return near
            return hits()
