"""The graph store in Ladybug, an embedded property graph database that speaks Cypher.

https://ladybugdb.com; all of it is one file and a library. Vectors are searched exactly, or, where
there are many, by an index beside the file that says which ones to look at.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, cast

import numpy as np

from naiad.errors import InvalidInput, MissingExtra, StoreError
from naiad.schema import Array
from naiad.store import cypher
from naiad.store.checks import check_edges, check_hops, check_keys, check_limit, check_query
from naiad.store.cypher import quoted
from naiad.store.filters import Where, conditions
from naiad.store.folder import Manifest, StoreFolder
from naiad.store.protocol import Common, Direction, Hit, Link, Neighbour, Record, Route
from naiad.store.schema import KEY, GraphSchema, Key

if TYPE_CHECKING:
    from typing_extensions import Self

    from naiad.store.vector_index import VectorIndex

try:
    import ladybug
except ImportError as error:
    raise MissingExtra("store", "ladybug") from error

MEMORY: Final = 512 << 20
"""Most bytes that the database keeps of its file, by default."""

ENGINE: Final = f"ladybug {ladybug.__version__}"

# A generation may be removed between the reading of store.json and the opening of its file, if two
# others are published in that while.
_ATTEMPTS: Final = 5


class LadybugStore:
    """A published graph, to read: a :class:`~naiad.store.Store`.

    Args:
        path: the folder of the store.
        threads: of one query; 0 for as many as there are cores.
        memory: most bytes that the database keeps of its file.

    Raises:
        StoreError: there is no store, or it is half loaded or damaged.
    """

    def __init__(self, path: Path, *, threads: int = 0, memory: int = MEMORY) -> None:
        self._folder = StoreFolder(path)
        self._threads = threads
        self._memory = memory
        self._lock = threading.RLock()
        self._open_published()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._folder.path)!r})"

    @property
    def schema(self) -> GraphSchema:
        """The tables of the graph."""
        return self._schema

    def _open_published(self) -> None:
        for attempt in range(_ATTEMPTS):
            stamp = self._folder.stamp()
            manifest = self._folder.manifest()
            try:
                indexes = self._indexes_of(manifest)
                database = self._connect(self._folder.file(manifest.generation), read_only=True)
            except StoreError:
                # The file may be gone because a newer one was published.
                if attempt + 1 < _ATTEMPTS and self._folder.stamp() != stamp:
                    continue
                raise
            self._database, self._connection = database
            self._schema, self._stamp, self._indexes = manifest.schema, stamp, indexes
            return

    def _indexes_of(self, manifest: Manifest) -> dict[tuple[str, str], VectorIndex]:
        if not manifest.indexes or find_spec("faiss") is None:
            return {}  # without faiss the search is exact
        from naiad.store.vector_index import VectorIndex

        try:
            return {
                (each.table, each.vector): VectorIndex.load(
                    self._folder.index(manifest.generation, each.table, each.vector), each.number
                )
                for each in manifest.indexes
            }
        except StoreError as error:
            raise StoreError(
                f"{self._folder.path} is damaged: {error}; to write to the store, if only nothing, "
                "makes its indexes anew"
            ) from None

    def _connect(
        self, path: Path, *, read_only: bool
    ) -> tuple[ladybug.Database, ladybug.Connection]:
        if read_only and not path.is_file():
            raise StoreError(f"{self._folder.path} is damaged: {path.name} is not there")
        try:
            database = ladybug.Database(
                path,
                read_only=read_only,
                buffer_pool_size=self._memory,
                max_num_threads=self._threads or os.cpu_count() or 1,
            )
            return database, ladybug.Connection(database)
        except (RuntimeError, ValueError) as error:
            raise StoreError(f"{path} cannot be opened by {ENGINE}: {error}") from error

    def refresh(self) -> bool:
        """Look at what was published since; whether anything was."""
        with self._lock:
            stamp = self._folder.stamp()
            if stamp is None or stamp == self._stamp:
                return False
            before = (self._connection, self._database)
            self._open_published()  # where that fails, what was open stays so
            for part in before:
                part.close()
            return True

    def close(self) -> None:
        """Let go of the database."""
        with self._lock:
            self._connection.close()
            self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self, query: str, parameters: Mapping[str, Any] | None = None) -> list[list[Any]]:
        with self._lock:
            try:
                result = self._connection.execute(query, dict(parameters or {}))
                assert not isinstance(result, list)  # one statement has one result
                return cast(list[list[Any]], result.get_all())
            except RuntimeError as error:
                raise StoreError(f"{self._folder.path}: {error}") from error

    def count(self, table: str, where: Where | None = None) -> int:
        """How many nodes there are."""
        node = self._schema.node(table)
        parameters: dict[str, Any] = {}
        clause = cypher.where(conditions(node, where), parameters, "n")
        return self._run(f"MATCH (n:{quoted(table)}){clause} RETURN count(*)", parameters)[0][0]

    def get(self, table: str, keys: Sequence[Key]) -> list[Record | None]:
        """The nodes with these keys, in their order; None for one that is not there."""
        node = self._schema.node(table)
        rows = self._by_key(table, check_keys(node, keys), cypher.record("n", node.columns))
        found = {row[0]: dict(zip(node.columns, row, strict=True)) for row in rows}
        return [found.get(key) for key in keys]

    def _by_key(self, table: str, keys: list[Key], wanted: str) -> list[list[Any]]:
        if not keys:
            return []
        match = cypher.by_key(self._schema.node(table))
        return self._run(f"{match} RETURN {wanted}", {"keys": keys})

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
        parameters: dict[str, Any] = {"limit": check_limit(limit)}
        clause = cypher.where(conditions(node, where), parameters, "n")
        column = f"n.{quoted(order)}"
        rows = self._run(
            f"MATCH (n:{quoted(table)}){clause} RETURN {cypher.record('n', node.columns)} "
            f"ORDER BY {column} IS NULL, {column}{' DESC' if descending else ''}, n.{quoted(KEY)} "
            "LIMIT $limit",
            parameters,
        )
        return [dict(zip(node.columns, row, strict=True)) for row in rows]

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
        given = self._schema.node(table.source if side == "source" else table.target)
        parameters: dict[str, Any] = {
            "keys": check_keys(given, keys),
            "limit": check_limit(limit),
        }
        clause = cypher.where(conditions(table, where), parameters, "e")
        if not keys:
            return []
        here, there = ("a", "b") if side == "source" else ("b", "a")
        other = self._schema.node(table.target if side == "source" else table.source)
        pattern = cypher.arrow([table], "out" if side == "source" else "in")
        columns = [f"a.{quoted(KEY)}", f"b.{quoted(KEY)}"]
        columns += [f"e.{quoted(name)}" for name in table.properties]
        rows = self._run(
            f"UNWIND $keys AS key MATCH ({here}:{quoted(given.name)} {{{quoted(KEY)}: key}})"
            f"{pattern}({there}:{quoted(other.name)}){clause} "
            f"RETURN {', '.join(columns)} "
            f"ORDER BY a.{quoted(KEY)}, b.{quoted(KEY)} LIMIT $limit",
            parameters,
        )
        return [
            Link(edge, source, target, dict(zip(table.properties, values, strict=True)))
            for source, target, *values in rows
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
        (start,) = check_keys(self._schema.node(table), [key])
        reached = self._schema.node(to)
        parameters: dict[str, Any] = {"start": start, "limit": check_limit(limit)}
        itself = [f"b.{quoted(KEY)} <> $start"] if to == table else []
        clause = cypher.where(conditions(reached, where), parameters, "b", *itself)
        pattern = cypher.arrow(
            check_edges(self._schema, edges), direction, f"* SHORTEST 1..{check_hops(hops)}"
        )
        rows = self._run(
            f"MATCH (a:{quoted(table)} {{{quoted(KEY)}: $start}}){pattern}(b:{quoted(to)}){clause} "
            f"RETURN b.{quoted(KEY)} AS key, length(e) AS hops ORDER BY hops, key LIMIT $limit",
            parameters,
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
        pattern = cypher.arrow(
            check_edges(self._schema, edges), direction, f"* ALL SHORTEST 1..{check_hops(hops)}"
        )
        rows = self._run(
            f"MATCH p = (a:{quoted(start[0])} {{{quoted(KEY)}: $first}}){pattern}"
            f"(b:{quoted(end[0])} {{{quoted(KEY)}: $last}}) "
            "RETURN properties(nodes(p), '_label'), properties(nodes(p), 'id'), "
            "properties(rels(p), '_label') LIMIT $limit",
            {"first": start[1], "last": end[1], "limit": check_limit(limit)},
        )
        # The ids of a path come as strings where its tables have keys of both types.
        return [
            Route(
                tuple(
                    (label, key if self._schema.node(label).key == "string" else int(key))
                    for label, key in zip(labels, keys, strict=True)
                ),
                tuple(kinds),
            )
            for labels, keys, kinds in rows
        ]

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
        parameters: dict[str, Any] = {
            "keys": check_keys(self._schema.node(table), keys),
            "limit": check_limit(limit),
        }
        found, *_ = [conditions(each, where) for each in tables]  # it must be right for all
        here = cypher.where(found, parameters, "e")
        others = f"NOT b.{quoted(KEY)} IN $keys"
        there = cypher.where(found, parameters, "f", others)
        if not keys:
            return []
        out, back = cypher.sides(tables, table)
        # Each neighbour once, before what is beside it is looked at: there may be many ways to it.
        rows = self._run(
            f"UNWIND $keys AS key MATCH (a:{quoted(table)} {{{quoted(KEY)}: key}})"
            f"{cypher.arrow(tables, out)}(x){here} WITH DISTINCT x "
            f"MATCH (x){cypher.arrow(tables, back, name='f')}(b:{quoted(table)}){there} "
            f"RETURN b.{quoted(KEY)} AS key, count(DISTINCT x) AS common "
            "ORDER BY common DESC, key LIMIT $limit",
            parameters,
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
        """The ``k`` nodes whose vector has the largest cosine with ``query``, float32 [length]."""
        node = self._schema.node(table)
        values = check_query(node, vector, query)
        found = conditions(node, where)
        # The query vector has to be a parameter: as text it takes 20 times as long to parse.
        given: dict[str, Any] = {"query": values.tolist(), "k": check_limit(k, "k")}

        def hits(**more: Any) -> list[Hit]:
            parameters = given | more
            text = cypher.nearest(node, vector, found, parameters)
            return [Hit(*row) for row in self._run(text, parameters)]

        with self._lock:
            index = None if exact else self._indexes.get((table, vector))
            if index is not None:
                # The more `where` refuses, the more it takes; where it refuses nearly all, looking
                # at the others is faster.
                for number in index.numbers(k):
                    near = hits(keys=index.candidates(values, number))
                    if len(near) == k:
                        return near
            return hits()

    def vectors(self, table: str, vector: str, keys: Sequence[Key]) -> dict[Key, Array]:
        """The vectors, float32, of those of ``keys`` that have one."""
        node = self._schema.node(table)
        node.length_of(vector)
        wanted = f"n.{quoted(KEY)}, n.{quoted(vector)}"
        rows = self._by_key(table, check_keys(node, keys), wanted)
        return {key: np.array(value, np.float32) for key, value in rows if value is not None}

    def missing(self, table: str, vector: str) -> list[Key]:
        """The keys of nodes that have no such vector, in order."""
        self._schema.node(table).length_of(vector)
        rows = self._run(
            f"MATCH (n:{quoted(table)}) WHERE n.{quoted(vector)} IS NULL "
            f"RETURN n.{quoted(KEY)} AS key ORDER BY key"
        )
        return [key for (key,) in rows]
