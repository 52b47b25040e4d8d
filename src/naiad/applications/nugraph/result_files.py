"""Files of NuGraph3 results: HDF5 in pynuml's layout, or one flat parquet table; both streamed.

HDF5: groups ``event_table`` and ``hit_table``, a dataset per column, all ``[n, k]``, ``event_id``
(run, subrun, event) in each, and ``hit_table/event_id.seq_cnt`` (number of the event in
``event_table``, number of its hits), so that tools for pynuml's event files read results too.

Parquet: see :mod:`naiad.applications.nugraph.result_tables`.

Names of classes and the notice of the weights are in the file's attributes or schema metadata.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from naiad.applications.nugraph.result_tables import read_parquet
from naiad.applications.nugraph.results import HIT_DTYPES, Labels, NuGraph3Result
from naiad.applications.nugraph.schema import PLANES
from naiad.applications.nugraph.task import NuGraph3Task
from naiad.bulk.merging import merge_hdf5
from naiad.errors import MissingExtra, NaiadError
from naiad.hdf5 import Hdf5Draft
from naiad.tasks.output import Output, check_places

_HDF5: Final = (".h5", ".hdf5")
_PARQUET: Final = (".parquet", ".pq")
_HITS_PER_WRITE = 65_536
# pynuml's names of the hit columns that come from the event.
_PYNUML = {"plane": "local_plane", "wire": "local_wire", "time": "local_time"}


class Hdf5Writer:
    """A `Writer` of HDF5 files, which keeps no more than about 65,536 hits in memory."""

    def __init__(self, task: object, path: Path, card: object) -> None:
        """Begin no file yet: the columns depend on the classes of the first result.

        Raises:
            MissingExtra: h5py is not installed.
        """
        _ = _h5py()
        self._path = path
        self._draft: Hdf5Draft | None = None
        self._labels: Labels | None = None
        self._block: list[NuGraph3Result] = []
        self._held = 0
        self._sizes: list[int] = []

    @property
    def written(self) -> int:
        """Events that are in the file."""
        return sum(self._sizes[: self._draft.commits]) if self._draft is not None else 0

    def add(self, name: str, unit: object, result: NuGraph3Result) -> None:
        """Add one event.

        Raises:
            NaiadError: the result has other classes, or another notice, than those before it.
            OSError: the file cannot be written.
        """
        if self._labels is None:
            self._labels = result.labels
        elif result.labels != self._labels:
            raise NaiadError(
                f"{self._path} has results of another model: {self._labels}, not {result.labels}"
            )
        self._block.append(result)
        self._held += max(1, len(result.probabilities))
        if self._held >= _HITS_PER_WRITE:
            self._flush()

    def close(self) -> None:
        """Write what is still held and finish the file."""
        try:
            self._flush()
        finally:
            if self._draft is not None:
                self._draft.close()

    @staticmethod
    def merge(
        task: object, parts: Sequence[Path], path: Path, provenance: Mapping[str, Any]
    ) -> None:
        """Write the results of all parts to one file."""
        counted, numbered = "event_table/event_id", "event_id.seq_cnt"
        merge_hdf5(parts, path, provenance, counted=counted, numbered=numbered)

    def _flush(self) -> None:
        block, self._block, self._held = self._block, [], 0
        if not block:
            return
        if self._draft is None:
            self._draft = Hdf5Draft(self._path)
        first = sum(self._sizes)
        self._sizes.append(len(block))
        self._draft.commit(lambda file: _append_block(file, block, first))


def write_results(
    results: Iterable[NuGraph3Result], path: Path, *, overwrite: bool = False
) -> Path:
    """Write results to an HDF5, Parquet or CSV file, as its suffix says, as they come.

    Raises:
        NaiadError: the file exists, or cannot be written.
    """
    check_places({path: None}, (), force=overwrite)
    left = iter(results)
    for first in left:
        with Output(NuGraph3Task(), path, first.labels, NuGraph3Task.Options()) as output:
            for result in chain((first,), left):
                output.add("", None, result)
    return path


def read_results(path: Path) -> Iterator[NuGraph3Result]:
    """Read back what :func:`write_results` wrote, one event at a time.

    Raises:
        NaiadError: not a file of NuGraph3 results.
    """
    if path.suffix not in (*_HDF5, *_PARQUET):
        raise NaiadError(f"{path}: results are read from {', '.join((*_HDF5, *_PARQUET))}")
    if not path.is_file():
        raise NaiadError(f"{path}: no such file")
    return _read_hdf5(path) if path.suffix in _HDF5 else read_parquet(path)


def _append_block(file: Any, block: list[NuGraph3Result], first: int) -> None:
    """Append events, the first of which has the number ``first``."""
    labels = block[0].labels
    if not first:
        file.attrs.update(
            {
                "content": "NuGraph3 results",
                "semantic_classes": list(labels.semantic),
                "event_classes": list(labels.event),
                "planes": list(PLANES),
                "notice": labels.notice,
            }
        )
    columns = {
        "event_id": np.array([(r.run, r.subrun, r.event) for r in block], np.int32),
        "event_class": np.array([[labels.event.index(r.event_class)] for r in block], np.int32),
        "probability": np.array([list(r.event_probabilities.values()) for r in block], "f4"),
        "vertex": np.stack([r.vertex for r in block]),
        "unknown_hits": np.array([[r.unknown_hits] for r in block], np.int32),
    }
    for name, column in columns.items():
        _append(file, f"event_table/{name}", column)
    counts = np.array([len(r.probabilities) for r in block])
    numbers = np.arange(first, first + len(block))
    _append(
        file,
        "hit_table/event_id.seq_cnt",
        np.stack([numbers, counts], axis=1)[counts > 0].astype(np.int64),
    )
    for name, column in _hit_columns(block, labels).items():
        _append(file, f"hit_table/{name}", column)


def _append(file: Any, name: str, rows: NDArray[Any]) -> None:
    if name not in file:
        file.create_dataset(
            name,
            data=rows,
            maxshape=(None, rows.shape[1]),
            chunks=(4096, rows.shape[1]),
            compression="gzip",
            compression_opts=1,
            shuffle=True,
        )
        return
    dataset = file[name]
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
