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
"""With so many nodes a vector gets an approximate index, unless it is said otherwise."""

MEMORY: Final = 2 << 30
"""Most bytes that a writer keeps of its file, by default. With fewer Ladybug 0.22 may not find the
room for a checkpoint: with 512 MB it failed after 160,000 vectors of 384 numbers."""

_READ: Final = 100_000  # nodes whose vectors are read at once: each time all are gone through

_log = logging.getLogger(__name__)


class LadybugWriter(Writer, LadybugStore):
    """The :class:`~naiad.applications.store.Writer` of a store; use it as a context manager.

    It works on a copy of what is published, so a store takes twice its size while it is written to.

    Args:
        path: the folder of the store.
        schema: of a new store, which replaces what is there; None to change what is there.
        threads: of one query; 0 for as many as there are cores.
        memory: most bytes that the database keeps of its file.
        approximate_from: a vector of so many nodes gets an approximate index, if faiss is
            installed; None for what it was, or :data:`APPROXIMATE_FROM`.

    Raises:
        StoreError: somebody writes to it, or there is none to change.
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
        self._indexes = {}  # what is written is not in them before it is published
        with ExitStack() as stack:
            if schema is None:
                self._folder.manifest()  # before a folder is made for the lock
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
        """Remember which vectors are to be put into the index that there is."""
        if (table, vector) in self._changed:
            self._changed[table, vector] |= dict.fromkeys(keys)

    def publish(self) -> None:
        """Let others see what was written, all at once; vectors of many nodes get an index."""
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
                        "%s.%s of %s nodes gets no approximate index, and searches take long, as "
                        "faiss is not installed: %s",
                        *(node.name, vector, f"{number:,}", install_command("store-approximate")),
                    )
                elif indexed := self._write_index(node, vector):
                    yield indexed

    def _write_index(self, node: NodeTable, vector: str) -> Indexed | None:
        """Write what the index of a vector is to be, from the one before it or anew."""
        path = self._path.with_name(f"{self._path.name}.{node.name}.{vector}")
        if found := self._indexed_before(node.name, vector):
            before, old, index = found
            changed = list(self._changed[node.name, vector])
            if not changed:
                for source, target in zip(files(old), files(path), strict=True):
                    shutil.copyfile(source, target)
                return before
            for start in range(0, len(changed), self._batch):
                keys = changed[start : start + self._batch]
                vectors = self.vectors(node.name, vector, keys)
                index.put(pa.array(keys, index.kind), np.stack([vectors[key] for key in keys]))
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
            for start in range(first, last, _READ):
                index.put(*self._vectors_between(node, vector, start, start + _READ))
            trained, since = number, 0
        index.save(path)
        return Indexed(node.name, vector, len(index), trained, since)

    def _indexed_before(self, table: str, vector: str) -> tuple[Indexed, Path, VectorIndex] | None:
        """The index of a vector in what this writer began with, if it can be gone on with.

        As many changes as it was made of may have moved its groups elsewhere. It can be added to
        where there is anything to add.
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

    def _vectors_between(
        self, node: NodeTable, vector: str, first: int, last: int, step: int = 1
    ) -> tuple[pa.Array, Array]:
        """Keys and vectors, float32 [keys, length], of one in ``step`` nodes of these numbers."""
        bounds = {"first": first, "last": last, "step": step}
        table = self._result(cypher.vectors_between(node, vector), bounds).get_as_arrow(_READ)
        flat = table["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        return table["key"].combine_chunks(), flat.reshape(-1, node.length_of(vector))

    def close(self) -> None:
        """Drop what was not published, and let others write."""
        super().close()
        self._folder.drop()
        self._held.close()


# What Ladybug says of rows that it refuses, and what that means.
_REFUSED: Final = {
    "Found duplicated primary key value": "the id {} is there twice",
    "Unable to find primary key value": "an edge has the node {}, which is not there",
}
