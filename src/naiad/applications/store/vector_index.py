"""An approximate index of one vector of a table's nodes, in two files beside the database.

An inverted file: vectors are grouped by k-means, and a search looks at the groups nearest to it
(Jegou, Douze, Schmid, "Product quantization for nearest neighbor search", 2011), as faiss has it
(https://faiss.ai), with 8 bits per number. A graph (HNSW) was tried beside it on the same vectors:
no faster to search at the same recall, larger, and nothing can be taken out of it again, which a
vector that is set anew needs.

What it finds are candidates: the database has the vectors themselves, by which they are ordered.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from naiad.applications.store.schema import Key
from naiad.core.schema import Array
from naiad.errors import StoreError

SUFFIXES: Final = (".faiss", ".keys")
"""Of the two files: the vectors' groups, and the key of each vector."""

_PER_GROUP: Final = 40  # vectors that k-means sees; faiss complains of fewer than 39
_ROUNDS: Final = 10  # of k-means
_PROBES: Final = 16  # groups that a search looks at, at least
_LOOKED_AT: Final = 16  # times as many vectors as candidates are wanted, at least
_MOST_CANDIDATES: Final = 4096
_WORTH: Final = 16  # what looking a candidate up costs, in nodes of a search of all
_MORE: Final = 8  # times as many candidates, where there were too few
_CHUNK: Final = 65_536


def groups_of(number: int) -> int:
    """How many groups so many vectors are put into."""
    return max(1, min(round(2 * math.sqrt(number)), number // _PER_GROUP))


def sample_size(number: int) -> int:
    """How many of so many vectors k-means has to see."""
    return min(number, _PER_GROUP * groups_of(number))


class VectorIndex:
    """Vectors by number, in the order in which they came, and their nodes' keys.

    Args:
        index: of faiss, with an inverted file.
        keys: of each number, an Arrow array.
    """

    def __init__(self, index: Any, keys: pa.Array) -> None:
        self._index = index
        self._keys = keys

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def kind(self) -> pa.DataType:
        """The Arrow type of keys."""
        return self._keys.type

    @classmethod
    def trained(cls, sample: Array, number: int, kind: pa.DataType) -> VectorIndex:
        """An empty one.

        Args:
            sample: vectors such as there will be, float32 [:func:`sample_size`, length].
            number: how many there will be, about.
            kind: the Arrow type of keys.
        """
        faiss = _faiss()
        index = faiss.index_factory(
            sample.shape[1], f"IVF{groups_of(number)},SQ8", faiss.METRIC_INNER_PRODUCT
        )
        index.cp.niter = _ROUNDS
        index.cp.min_points_per_centroid = 1
        index.train(_units(sample))
        return cls(index, pa.array([], kind))

    def put(self, keys: pa.Array, vectors: Array) -> None:
        """Add vectors of nodes, or replace those that are there.

        Args:
            keys: no two alike.
            vectors: float32 [keys, length].
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
        for start in range(0, len(keys), _CHUNK):
            part = slice(start, start + _CHUNK)
            self._index.add_with_ids(_units(vectors[part]), numbers[part])

    def numbers(self, k: int) -> Iterator[int]:
        """How many candidates to try for ``k`` nodes that must fulfil conditions, too."""
        number = max(64, 4 * k)
        most = min(_MOST_CANDIDATES, max(number, len(self) // _WORTH))
        while number <= most:
            yield number
            number *= _MORE

    def candidates(self, query: Array, number: int) -> list[Key]:
        """The keys of about the ``number`` vectors of the largest cosine with ``query``, unordered.

        There may be fewer.
        """
        faiss = _faiss()
        groups = self._index.nlist
        probes = max(_PROBES, math.ceil(_LOOKED_AT * number * groups / max(1, len(self))))
        options = faiss.SearchParametersIVF(nprobe=min(probes, groups))
        _, (found,) = self._index.search(_units(query[None]), number, params=options)
        return self._keys.take(pa.array(found[found >= 0])).to_pylist()

    def save(self, path: Path) -> None:
        """Write the files, whose names are ``path`` and :data:`SUFFIXES`."""
        faiss = _faiss()
        vectors, keys = files(path)
        faiss.write_index(self._index, str(vectors))
        table = pa.table({"id": self._keys})
        with pa.OSFile(str(keys), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)

    @classmethod
    def load(cls, path: Path, number: int, *, shared: bool = True) -> VectorIndex:
        """The index in the files of a ``path``, with so many vectors.

        Args:
            path: as :meth:`save` had it.
            number: how many vectors there must be.
            shared: only read it: several processes then hold one copy of it in memory.

        Raises:
            StoreError: a file is missing or damaged, or of another state than ``number`` says.
        """
        faiss = _faiss()
        vectors, keys = files(path)
        for file in (vectors, keys):
            if not file.is_file():
                raise StoreError(f"{file.name} is not there")
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
    """The two files of an index."""
    vectors, keys = (path.with_name(path.name + suffix) for suffix in SUFFIXES)
    return vectors, keys


def _faiss() -> Any:
    """The library, when it is needed; its own types miss half of what it has."""
    import faiss

    return faiss


def _units(vectors: Array) -> Array:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.ascontiguousarray(vectors / np.maximum(lengths, 1e-30), np.float32)
