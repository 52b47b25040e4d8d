"""An approximate index of one vector of a table's nodes, in two files beside the database.

An inverted file: k-means groups the vectors, and a search reads the groups nearest to the query
(Jegou, Douze, Schmid, "Product quantization for nearest neighbor search", 2011), with 8 bits per
number, from faiss (https://faiss.ai). A graph (HNSW) on the same vectors was no faster at the same
recall, larger, and could not remove a vector, which replacing one needs.

The index finds candidates; the database, which has the exact vectors, ranks them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from naiad.applications.store.schema import Key
from naiad.core.schema import Array
from naiad.errors import StoreError

SUFFIXES: Final = (".faiss", ".keys")
"""The suffixes of the two files: the vectors' groups, and the key of each vector."""

_PER_GROUP: Final = 40  # vectors per group that k-means trains on; faiss warns below 39
_ROUNDS: Final = 10  # iterations of k-means
_PROBES: Final = 16  # minimum number of groups that a search reads
_LOOKED_AT: Final = 16  # minimum number of vectors read per candidate wanted
_MOST_CANDIDATES: Final = 4096
_WORTH: Final = 16  # cost of looking up one candidate, in nodes of an exact search
_MORE: Final = 8  # factor by which to retry with more candidates
_CHUNK: Final = 65_536


def groups_of(number: int) -> int:
    """Return the number of groups for a number of vectors."""
    return max(1, min(round(2 * math.sqrt(number)), number // _PER_GROUP))


def sample_size(number: int) -> int:
    """Return the number of vectors, out of ``number``, that k-means trains on."""
    return min(number, _PER_GROUP * groups_of(number))


class VectorIndex:
    """Vectors, numbered in the order they were added, and their nodes' keys.

    Args:
        index: a faiss index with an inverted file.
        keys: the key of each number, an Arrow array.
    """

    def __init__(self, index: Any, keys: pa.Array) -> None:
        self._index = index
        self._keys = keys

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def kind(self) -> pa.DataType:
        """The Arrow type of the keys."""
        return self._keys.type

    @classmethod
    def trained(cls, sample: Array, number: int, kind: pa.DataType) -> VectorIndex:
        """Train an empty index.

        Args:
            sample: typical vectors, float32 [:func:`sample_size`, length].
            number: the approximate number of vectors to come.
            kind: the Arrow type of the keys.
        """
        faiss = _faiss()
        index = faiss.index_factory(
            sample.shape[1], f"IVF{groups_of(number)},SQ8", faiss.METRIC_INNER_PRODUCT
        )
        index.cp.niter = _ROUNDS
        index.cp.min_points_per_centroid = 1
        index.train(_units(sample))
        return cls(index, pa.array([], kind))

    def add(self, parts: Iterable[tuple[pa.Array, Array]]) -> None:
        """Add the vectors of new nodes.

        Args:
            parts: distinct keys that are not there yet, and their vectors, float32 [keys, length].
        """
        keys: list[pa.Array] = [self._keys]
        number = len(self)
        for some, vectors in parts:
            self._add(np.arange(number, number + len(some)), vectors)
            number += len(some)
            keys.append(some)
        self._keys = pa.concat_arrays(keys)  # once: a copy of all keys per part would add up

    def put(self, keys: pa.Array, parts: Iterable[Array]) -> None:
        """Add or replace the vectors of nodes.

        Args:
            keys: distinct keys.
            parts: their vectors, in pieces: float32 [keys of the piece, length].
        """
        import pyarrow.compute as pc

        found = pc.call_function("index_in", [keys], pc.SetLookupOptions(self._keys))
        there = found.is_valid().to_numpy(zero_copy_only=False)
        numbers = np.empty(len(keys), np.int64)
        numbers[there] = found.drop_null().to_numpy()
        numbers[~there] = np.arange(len(self), len(self) + int((~there).sum()))
        if there.any():
            self._index.remove_ids(_faiss().IDSelectorBatch(numbers[there]))
        self._keys = pa.concat_arrays([self._keys, keys.filter(pa.array(~there))])
        start = 0
        for vectors in parts:
            self._add(numbers[start : start + len(vectors)], vectors)
            start += len(vectors)

    def _add(self, numbers: Array, vectors: Array) -> None:
        for start in range(0, len(numbers), _CHUNK):
            part = slice(start, start + _CHUNK)
            self._index.add_with_ids(_units(vectors[part]), numbers[part])

    def numbers(self, k: int) -> Iterator[int]:
        """Yield growing numbers of candidates to try for ``k`` nodes that meet conditions."""
        number = max(64, 4 * k)
        most = min(_MOST_CANDIDATES, max(number, len(self) // _WORTH))
        while number <= most:
            yield number
            number *= _MORE

    def candidates(self, query: Array, number: int) -> list[Key]:
        """Return about ``number`` keys of vectors near ``query``, unordered; maybe fewer."""
        faiss = _faiss()
        groups = self._index.nlist
        probes = max(_PROBES, math.ceil(_LOOKED_AT * number * groups / max(1, len(self))))
        options = faiss.SearchParametersIVF(nprobe=min(probes, groups))
        _, (found,) = self._index.search(_units(query[None]), number, params=options)
        return self._keys.take(pa.array(found[found >= 0])).to_pylist()

    def save(self, path: Path) -> None:
        """Write the files, named ``path`` plus :data:`SUFFIXES`."""
        faiss = _faiss()
        vectors, keys = files(path)
        faiss.write_index(self._index, str(vectors))
        table = pa.table({"id": self._keys})
        with pa.OSFile(str(keys), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)

    @classmethod
    def load(cls, path: Path, number: int, *, shared: bool = True) -> VectorIndex:
        """Read an index from its files.

        Args:
            path: the path given to :meth:`save`.
            number: the number of vectors it must have.
            shared: open it read-only; processes then share one copy in memory.

        Raises:
            StoreError: a file is missing or damaged, or has another number of vectors.
        """
        faiss = _faiss()
        vectors, keys = files(path)
        for file in (vectors, keys):
            if not file.is_file():
                raise StoreError(f"{file.name} is missing")
        try:
            index = faiss.read_index(str(vectors), faiss.IO_FLAG_MMAP if shared else 0)
            with pa.memory_map(str(keys)) as source:
                column = pa.ipc.open_file(source).read_all()["id"].combine_chunks()
        except (RuntimeError, OSError, pa.ArrowInvalid) as error:
            raise StoreError(f"{path.name} cannot be read: {str(error)[-200:]}") from error
        if not index.ntotal == len(column) == number:
            raise StoreError(
                f"{vectors.name} has {index.ntotal:,} vectors of {len(column):,} nodes; the "
                f"database has {number:,}"
            )
        return cls(index, column)


def files(path: Path) -> tuple[Path, Path]:
    """Return the paths of an index's two files."""
    vectors, keys = (path.with_name(path.name + suffix) for suffix in SUFFIXES)
    return vectors, keys


def _faiss() -> Any:
    """Import faiss when it is needed; untyped, because its stubs are incomplete."""
    import faiss

    return faiss


def _units(vectors: Array) -> Array:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.ascontiguousarray(vectors / np.maximum(lengths, 1e-30), np.float32)
