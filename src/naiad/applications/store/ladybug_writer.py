"""The writer of a graph store in Ladybug."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from naiad.applications.store import cypher
from naiad.applications.store.base import Writer
from naiad.applications.store.cypher import quoted
from naiad.applications.store.ladybug import ENGINE, LadybugStore
from naiad.applications.store.rows import vector_rows
from naiad.applications.store.schema import KEY, EdgeTable, GraphSchema, Key, NodeTable
from naiad.applications.store.snapshots import Indexed, Manifest, StoreFolder
from naiad.applications.store.vector_index import VectorIndex, files, sample_size
from naiad.core.schema import Array
from naiad.errors import InvalidInput, StoreError, install_command

APPROXIMATE_FROM: Final = 1_000_000
"""Default number of nodes from which a vector gets an approximate index."""

MEMORY: Final = 2 << 30
"""Default size of a writer's buffer pool, in bytes. With less, Ladybug 0.22 may lack room for a
checkpoint: with 512 MB it failed after 160,000 vectors of 384 numbers."""

_READ: Final = 100_000  # nodes whose vectors are read at once; every read scans all nodes

_log = logging.getLogger(__name__)


class LadybugWriter(Writer, LadybugStore):
    """The :class:`~naiad.applications.store.Writer` of a store; use it as a context manager.

    It works on a copy of the published state, so a store takes twice its size during a write.

    Args:
        path: the folder of the store.
        schema: the schema of a new store, which replaces an existing one; None to change the
            existing one.
        threads: number of threads per query; 0 for one per core.
        memory: size of the buffer pool, in bytes.
        approximate_from: number of nodes from which a vector gets an approximate index, if faiss
            is installed; None to keep the store's own, or :data:`APPROXIMATE_FROM`.

    Raises:
        StoreError: another process is writing to the store, or there is no store to change.
    """

    _batch = 20_000

    def __init__(
        self,
        path: Path,
        schema: GraphSchema | None = None,
        *,
        threads: int = 0,
        memory: int = MEMORY,
        approximate_from: int | None = None,
    ) -> None:
        self._folder = StoreFolder(path)
        self._threads = threads
        self._memory = memory
        self._lock = threading.RLock()
        self._indexes = {}  # changes enter the indexes when they are published
        with ExitStack() as stack:
            if schema is None:
                self._folder.manifest()  # fail before a folder is created for the lock
            stack.enter_context(self._folder.locked())
            if schema is None:
                manifest = self._folder.manifest()
                self._approximate_from = approximate_from or manifest.approximate_from
                self._begin(manifest, manifest.schema)
            else:
                self._approximate_from = approximate_from or APPROXIMATE_FROM
                self._begin(None, schema)
                for statement in cypher.create(schema):
                    self._run(statement)
            self._held = stack.pop_all()

    def _begin(self, base: Manifest | None, schema: GraphSchema) -> None:
        self._base = base
        self._changed: dict[tuple[str, str], dict[Key, None]] = {
            (index.table, index.vector): {} for index in (base.indexes if base else ())
        }
        self._path = self._folder.begin(base.generation if base else None)
        self._database, self._connection = self._connect(self._path, read_only=False)
        self._schema = schema

    def _load_nodes(self, node: NodeTable, rows: pa.Table) -> None:
        self._load(cypher.copy_nodes(node, rows.column_names), rows, node.name)
        for vector in node.vectors:
            if vector in rows.column_names:
                with_vector = rows[KEY].filter(rows[vector].is_valid())
                self._note(node.name, vector, with_vector.to_pylist())

    def _load_edges(self, edge: EdgeTable, rows: pa.Table) -> None:
        self._load(cypher.copy_edges(edge), rows, edge.name)

    def _load(self, query: str, rows: Any, table: str) -> None:
        try:
            self._run(query, {"rows": rows})
        except StoreError as error:
            for words, meaning in _REFUSED.items():
                if words in str(error):
                    key = str(error).partition(words)[2].strip(" .").partition(", which")[0]
                    raise InvalidInput(f"{table}: {meaning.format(key)}") from None
            raise

    def _set_vectors(self, node: NodeTable, vector: str, keys: list[Key], values: Array) -> None:
        rows = vector_rows(node, vector, keys, values)
        self._run(cypher.set_vectors(node, vector), {"rows": rows})
        self._note(node.name, vector, keys)

    def _note(self, table: str, vector: str, keys: Sequence[Key]) -> None:
        """Remember which vectors to put into an existing index."""
        if (table, vector) in self._changed:
            self._changed[table, vector] |= dict.fromkeys(keys)

    def publish(self) -> None:
        """Publish what was written, all at once; index the vectors that many nodes have."""
        with self._lock:
            self._begin(self._finish(), self._schema)

    def _finish(self) -> Manifest:
        self._run("CHECKPOINT")
        manifest = Manifest(
            generation=int(self._path.stem),
            engine=ENGINE,
            schema=self._schema,
            approximate_from=self._approximate_from,
            indexes=tuple(self._write_indexes()),
        )
        LadybugStore.close(self)
        self._folder.publish(manifest)
        return manifest

    def _write_indexes(self) -> Iterator[Indexed]:
        for node in self._schema.nodes:
            number = self.count(node.name)
            for vector in node.vectors if number >= self._approximate_from else ():
                if find_spec("faiss") is None:
                    _log.warning(
                        "%s.%s of %s nodes gets no approximate index, so searches will be slow; "
                        "install faiss: %s",
                        *(node.name, vector, f"{number:,}", install_command("store-approximate")),
                    )
                elif indexed := self._write_index(node, vector):
                    yield indexed

    def _write_index(self, node: NodeTable, vector: str) -> Indexed | None:
        """Write the index of a vector, updated or rebuilt."""
        path = self._path.with_name(f"{self._path.name}.{node.name}.{vector}")
        if found := self._indexed_before(node.name, vector):
            before, old, index = found
            changed = list(self._changed[node.name, vector])
            if not changed:
                for source, target in zip(files(old), files(path), strict=True):
                    shutil.copyfile(source, target)
                return before
            index.put(pa.array(changed, index.kind), self._vectors_of(node, vector, changed))
            trained, since = before.trained, before.changed + len(changed)
        else:
            there = f"MATCH (n:{quoted(node.name)}) WHERE n.{quoted(vector)} IS NOT NULL"
            number, first, last = self._run(
                f"{there} RETURN count(*), min(offset(id(n))), max(offset(id(n))) + 1"
            )[0]
            if number < self._approximate_from:
                return None
            step = max(1, number // sample_size(number))
            keys, sample = self._vectors_between(node, vector, first, last, step)
            index = VectorIndex.trained(sample, number, keys.type)
            starts = range(first, last, _READ)
            index.add(self._vectors_between(node, vector, n, n + _READ) for n in starts)
            trained, since = number, 0
        index.save(path)
        return Indexed(node.name, vector, len(index), trained, since)

    def _indexed_before(self, table: str, vector: str) -> tuple[Indexed, Path, VectorIndex] | None:
        """Return a vector's index in the state this writer started from, if it can be updated.

        After as many changes as vectors it was trained on, its groups may no longer fit. It is
        loaded for writing only if there is something to add.
        """
        for index in self._base.indexes if self._base else ():
            if (index.table, index.vector) == (table, vector):
                assert self._base is not None
                path = self._folder.index(self._base.generation, table, vector)
                changed = len(self._changed[table, vector])
                if index.changed + changed > index.trained:
                    return None
                try:
                    return index, path, VectorIndex.load(path, index.number, shared=not changed)
                except StoreError:
                    return None  # damaged
        return None

    def _vectors_of(self, node: NodeTable, vector: str, keys: list[Key]) -> Iterator[Array]:
        """Yield the vectors of nodes that have one, in pieces: float32 [some keys, length]."""
        for start in range(0, len(keys), self._batch):
            some = keys[start : start + self._batch]
            vectors = self.vectors(node.name, vector, some)
            yield np.stack([vectors[key] for key in some])

    def _vectors_between(
        self, node: NodeTable, vector: str, first: int, last: int, step: int = 1
    ) -> tuple[pa.Array, Array]:
        """Return keys and vectors, float32 [keys, length], of every ``step``-th node in a range."""
        bounds = {"first": first, "last": last, "step": step}
        table = self._result(cypher.vectors_between(node, vector), bounds).get_as_arrow(_READ)
        flat = table["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        return table["key"].combine_chunks(), flat.reshape(-1, node.length_of(vector))

    def close(self) -> None:
        """Drop unpublished changes and release the lock."""
        super().close()
        self._folder.drop()
        self._held.close()


# Ladybug's words for rows that it refuses, and ours.
_REFUSED: Final = {
    "Found duplicated primary key value": "the id {} occurs twice",
    "Unable to find primary key value": "an edge refers to the node {}, which does not exist",
}
