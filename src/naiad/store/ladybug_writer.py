"""The writer of a graph store in Ladybug."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from naiad.errors import InvalidInput, StoreError
from naiad.schema import Array
from naiad.store import cypher
from naiad.store.checks import check_values
from naiad.store.cypher import quoted
from naiad.store.folder import StoreFolder
from naiad.store.ladybug import ENGINE, MEMORY, LadybugStore
from naiad.store.protocol import Source
from naiad.store.rows import edge_rows, node_rows, vector_rows
from naiad.store.schema import KEY, GraphSchema, Key


class LadybugWriter(LadybugStore):
    """The writer of a store: a :class:`~naiad.store.Writer`; use it as a context manager.

    It works on a copy of what is published, so a store takes twice its size while it is written to.

    Args:
        path: the folder of the store.
        schema: of a new store, which replaces what is there; None to change what is there.
        threads: of one query; 0 for as many as there are cores.
        memory: most bytes that the database keeps of its file.

    Raises:
        StoreError: somebody writes to it, or there is none to change.
    """

    def __init__(
        self,
        path: Path,
        schema: GraphSchema | None = None,
        *,
        threads: int = 0,
        memory: int = MEMORY,
    ) -> None:
        self._folder = StoreFolder(path)
        self._threads = threads
        self._memory = memory
        self._lock = threading.RLock()
        with ExitStack() as stack:
            if schema is None:
                self._folder.manifest()  # before a folder is made for the lock
            stack.enter_context(self._folder.locked())
            if schema is None:
                manifest = self._folder.manifest()
                self._begin(manifest.generation, manifest.schema)
            else:
                self._begin(None, schema)
                for statement in cypher.create(schema):
                    self._run(statement)
            self._held = stack.pop_all()

    def _begin(self, base: int | None, schema: GraphSchema) -> None:
        self._path = self._folder.begin(base)
        self._database, self._connection = self._connect(self._path, read_only=False)
        self._schema = schema

    def load_nodes(self, table: str, rows: Source) -> int:
        """Add nodes; how many."""
        node = self._schema.node(table)
        count = 0
        for chunk in node_rows(node, rows):
            self._load(cypher.copy_nodes(node, chunk.column_names), chunk, table)
            count += chunk.num_rows
        return count

    def load_edges(self, edge: str, rows: Source) -> int:
        """Add edges; how many."""
        table = self._schema.edge(edge)
        count = 0
        for chunk in edge_rows(self._schema, table, rows):
            self._load(cypher.copy_edges(table), chunk, edge)
            count += chunk.num_rows
        return count

    def _load(self, query: str, rows: Any, table: str) -> None:
        try:
            self._run(query, {"rows": rows})
        except StoreError as error:
            for words, meaning in _REFUSED.items():
                if words in str(error):
                    key = str(error).partition(words)[2].strip(" .").partition(", which")[0]
                    raise InvalidInput(f"{table}: {meaning.format(key)}") from None
            raise

    def set_vectors(self, table: str, vector: str, keys: Sequence[Key], values: Array) -> None:
        """Set the vectors of nodes: float32 [keys, length]."""
        node = self._schema.node(table)
        values = check_values(node, vector, keys, values)
        there = {row[0] for row in self._by_key(table, list(keys), f"n.{quoted(KEY)}")}
        for key in keys:
            if key not in there:
                raise InvalidInput(f"{table} has no node {key!r}, for which there is a vector")
        if keys:
            rows = vector_rows(node, vector, list(keys), values)
            self._run(cypher.set_vectors(node, vector), {"rows": rows})

    def publish(self) -> None:
        """Let others see what was written, all at once."""
        with self._lock:
            generation = self._finish()
            self._begin(generation, self._schema)

    def _finish(self) -> int:
        self._run("CHECKPOINT")
        LadybugStore.close(self)
        return self._folder.publish(self._path, ENGINE, self._schema)

    def refresh(self) -> bool:
        """False: a writer sees what it writes, and there is no other."""
        return False

    def close(self) -> None:
        """Drop what was not published, and let others write."""
        super().close()
        self._folder.drop()
        self._held.close()

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


# What Ladybug says of rows that it refuses, and what that means.
_REFUSED: Final = {
    "Found duplicated primary key value": "the id {} is there twice",
    "Unable to find primary key value": "an edge has the node {}, which is not there",
}
