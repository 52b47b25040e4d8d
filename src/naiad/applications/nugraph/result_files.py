"""Files of NuGraph3 results: HDF5 in pynuml's layout, or one flat parquet table; both streamed.

HDF5: groups ``event_table`` and ``hit_table``, a dataset per column, all ``[n, k]``, ``event_id``
(run, subrun, event) in each, and ``hit_table/event_id.seq_cnt`` (number of the event in
``event_table``, number of its hits), so that tools for pynuml's event files read results too.

Parquet: see :mod:`naiad.applications.nugraph.result_tables`.

Names of classes and the notice of the weights are in the file's attributes or schema metadata.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from naiad.applications.nugraph.result_tables import ParquetStore, import_pyarrow, read_parquet
from naiad.applications.nugraph.results import HIT_DTYPES, Labels, NuGraph3Result
from naiad.applications.nugraph.schema import PLANES
from naiad.errors import MissingExtra, NaiadError

HDF5_SUFFIXES = (".h5", ".hdf5")
PARQUET_SUFFIXES = (".parquet", ".pq")

_HITS_PER_WRITE = 65_536
# pynuml's names of the hit columns that come from the event.
_PYNUML = {"plane": "local_plane", "wire": "local_wire", "time": "local_time"}


class Store(Protocol):
    """One file format: adds a block of events to an open file."""

    def add(self, block: list[NuGraph3Result], first: int) -> None:
        """Write the events of ``block``, the first of which is number ``first`` of the file."""
        ...

    def close(self) -> None:
        """Finish the file."""
        ...


class ResultWriter(AbstractContextManager["ResultWriter"]):
    """Writes results as they come, keeping no more than about 65,536 hits in memory.

    Leaving the ``with`` block, also by an exception, finishes the file with what was added.
    """

    def __init__(self, path: Path, *, overwrite: bool = False) -> None:
        """Open ``path`` for writing; its suffix says the format.

        Raises:
            NaiadError: the suffix is not .h5, .hdf5, .parquet or .pq, or the file exists.
        """
        check_format(path)
        if path.exists() and not overwrite:
            raise NaiadError(f"{path} exists")
        self._path = path
        self._store: Store | None = None
        self._block: list[NuGraph3Result] = []
        self._held = 0
        self._written = 0
        self._labels: Labels | None = None

    def add(self, result: NuGraph3Result) -> None:
        """Add one event.

        Raises:
            NaiadError: the result has other classes, or another notice, than those before it.
        """
        if self._labels is None:
            self._labels = result.labels
            # Opened here and not before: the columns depend on the classes.
            store = _Hdf5Store if self._path.suffix in HDF5_SUFFIXES else ParquetStore
            self._store = store(self._path, result.labels)
        elif result.labels != self._labels:
            raise NaiadError(
                f"{self._path} has results of another model: {self._labels}, not {result.labels}"
            )
        self._block.append(result)
        self._held += max(1, len(result.probabilities))
        if self._held >= _HITS_PER_WRITE:
            self._flush()

    def close(self) -> None:
        """Write what is still held and finish the file. No result, no file."""
        if self._store is not None:
            try:
                self._flush()
            finally:
                self._store.close()
                self._store = None

    def __exit__(self, *exc: object) -> None:
        """Finish the file."""
        self.close()

    def _flush(self) -> None:
        if self._store is not None and self._block:
            self._store.add(self._block, self._written)
            self._written += len(self._block)
            self._block.clear()
            self._held = 0


def write_results(
    results: Iterable[NuGraph3Result], path: Path, *, overwrite: bool = False
) -> Path:
    """Write results to an HDF5 or parquet file, as its suffix says, one at a time."""
    with ResultWriter(path, overwrite=overwrite) as writer:
        for result in results:
            writer.add(result)
    return path


def read_results(path: Path) -> Iterator[NuGraph3Result]:
    """Read back what :func:`write_results` wrote, one event at a time.

    Raises:
        NaiadError: not a file of NuGraph3 results.
    """
    check_format(path)
    if not path.is_file():
        raise NaiadError(f"{path}: no such file")
    return _read_hdf5(path) if path.suffix in HDF5_SUFFIXES else read_parquet(path)


def check_format(path: Path) -> None:
    """Make sure that results can be written to a file of this name.

    Raises:
        NaiadError: the suffix names no format, or the package for it is missing or does not work.
    """
    known = (*HDF5_SUFFIXES, *PARQUET_SUFFIXES)
    if path.suffix not in known:
        raise NaiadError(f"{path}: results are written as {', '.join(known)}")
    if path.suffix in HDF5_SUFFIXES:
        _h5py()
    else:
        import_pyarrow()


class _Hdf5Store:
    def __init__(self, path: Path, labels: Labels) -> None:
        self._file = _h5py().File(path, "w")
        self._file.attrs.update(
            {
                "content": "NuGraph3 results",
                "semantic_classes": list(labels.semantic),
                "event_classes": list(labels.event),
                "planes": list(PLANES),
                "notice": labels.notice,
            }
        )
        # Also of a file whose every event is without hits.
        self._append("hit_table/event_id.seq_cnt", np.zeros((0, 2), np.int64))
        for name, column in _hit_columns([], labels).items():
            self._append(f"hit_table/{name}", column)

    def add(self, block: list[NuGraph3Result], first: int) -> None:
        labels = block[0].labels
        ids = np.array([(r.run, r.subrun, r.event) for r in block], np.int32)
        columns = {
            "event_id": ids,
            "event_class": np.array([[labels.event.index(r.event_class)] for r in block], np.int32),
            "probability": np.array([list(r.event_probabilities.values()) for r in block], "f4"),
            "vertex": np.stack([r.vertex for r in block]),
            "unknown_hits": np.array([[r.unknown_hits] for r in block], np.int32),
        }
        for name, column in columns.items():
            self._append(f"event_table/{name}", column)
        counts = np.array([len(r.probabilities) for r in block])
        numbers = np.arange(first, first + len(block))
        self._append(
            "hit_table/event_id.seq_cnt",
            np.stack([numbers, counts], axis=1)[counts > 0].astype(np.int64),
        )
        for name, column in _hit_columns(block, labels).items():
            self._append(f"hit_table/{name}", column)

    def close(self) -> None:
        self._file.close()

    def _append(self, name: str, rows: NDArray[Any]) -> None:
        if name not in self._file:
            self._file.create_dataset(
                name,
                data=rows,
                maxshape=(None, rows.shape[1]),
                chunks=(4096, rows.shape[1]),
                compression="gzip",
                compression_opts=1,
                shuffle=True,
            )
            return
        dataset = self._file[name]
        start = len(dataset)
        dataset.resize(start + len(rows), axis=0)
        dataset[start:] = rows


def _hit_columns(block: list[NuGraph3Result], labels: Labels) -> dict[str, NDArray[Any]]:
    """The columns of ``hit_table`` for some events, each ``[n, k]``."""
    counts = [len(r.probabilities) for r in block]
    ids = np.array([(r.run, r.subrun, r.event) for r in block], np.int32).reshape(-1, 3)
    columns: dict[str, NDArray[Any]] = {"event_id": np.repeat(ids, counts, axis=0)}
    for name, dtype in HIT_DTYPES.items():
        parts = [r.columns[name] for r in block]
        columns[_PYNUML.get(name, name)] = np.concatenate([np.zeros(0, dtype), *parts])[:, None]
    empty = np.zeros((0, len(labels.semantic)), np.float32)
    columns["probability"] = np.concatenate([empty, *(r.probabilities for r in block)])
    return columns


def _read_hdf5(path: Path) -> Iterator[NuGraph3Result]:
    try:
        opened = _h5py().File(path, "r")
    except OSError as error:
        raise NaiadError(f"{path} is no HDF5 file: {error}") from None
    with opened as file:
        if "event_table/probability" not in file or "hit_table/probability" not in file:
            raise NaiadError(f"{path} has no NuGraph3 results")
        labels = Labels(
            tuple(str(name) for name in file.attrs["semantic_classes"]),
            tuple(str(name) for name in file.attrs["event_classes"]),
            str(file.attrs["notice"]),
        )
        events = {name: column[:] for name, column in file["event_table"].items()}
        counts = np.zeros(len(events["event_id"]), np.int64)
        sequence = file["hit_table/event_id.seq_cnt"][:]
        counts[sequence[:, 0]] = sequence[:, 1]
        ends = np.concatenate([[0], np.cumsum(counts)])
        hits = file["hit_table"]
        for number, (start, stop) in enumerate(pairwise(ends.tolist())):
            columns = {name: hits[_PYNUML.get(name, name)][start:stop, 0] for name in HIT_DTYPES}
            run, subrun, event = events["event_id"][number].tolist()
            yield NuGraph3Result(
                run=run,
                subrun=subrun,
                event=event,
                event_probabilities=dict(
                    zip(labels.event, events["probability"][number].tolist(), strict=True)
                ),
                vertex=events["vertex"][number],
                columns=columns,
                probabilities=hits["probability"][start:stop],
                labels=labels,
                unknown_hits=int(events["unknown_hits"][number, 0]),
            )


def _h5py() -> Any:
    try:
        import h5py
    except ModuleNotFoundError:
        raise MissingExtra("nugraph3-client", "h5py") from None
    return h5py
