"""Files of NuGraph results: HDF5 in pynuml's layout, or one flat Parquet table; both streamed.

HDF5: groups ``event_table`` and ``hit_table`` with a dataset per column, all ``[n, k]``; each has
``event_id`` (run, subrun, event), and ``event_id.seq_cnt`` with the event's row in ``event_table``
and its number of rows here, for events that have any. So ``pynuml.io.File`` reads results too.

Parquet: see :mod:`naiad.applications.nugraph.result_tables`.

The names of classes and the weights' notice are in the file's attributes or schema metadata; the
documentation and unit of each column are in those of its dataset or field.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from naiad.applications.nugraph.heads import HEADS, Labels, Part
from naiad.applications.nugraph.result_blocks import BlockWriter
from naiad.applications.nugraph.result_columns import PYNUML, dataset_facts, facts, labels_of
from naiad.applications.nugraph.result_tables import read_parquet
from naiad.applications.nugraph.results import HIT_DTYPES, NuGraphResult
from naiad.applications.nugraph.schema import PLANES
from naiad.applications.nugraph.task import NuGraph3Task
from naiad.bulk.merging import merge_hdf5
from naiad.errors import MissingExtra, NaiadError
from naiad.files import suffix_of
from naiad.hdf5 import Hdf5Draft
from naiad.tasks.output import Output, check_places

_HDF5: Final = (".h5", ".hdf5")
_PARQUET: Final = (".parquet", ".pq")


class Hdf5Writer(BlockWriter[Hdf5Draft]):
    """A `Writer` of HDF5 files."""

    def __init__(self, task: object, path: Path, card: object) -> None:
        """Begin no file yet.

        Raises:
            MissingExtra: h5py is not installed.
        """
        _ = _h5py()
        super().__init__(path)

    def begin(self, labels: Labels) -> Hdf5Draft:
        """Begin the file."""
        return Hdf5Draft(self._path)

    def append(self, draft: Hdf5Draft, block: Sequence[NuGraphResult], first: int) -> None:
        """Write results to the file."""
        draft.commit(lambda file: _append_block(file, block, first))

    @staticmethod
    def merge(
        task: object, parts: Sequence[Path], path: Path, provenance: Mapping[str, Any]
    ) -> None:
        """Write the results of all parts to one file."""
        counted, numbered = "event_table/event_id", "event_id.seq_cnt"
        merge_hdf5(parts, path, provenance, counted=counted, numbered=numbered)


def write_results(results: Iterable[NuGraphResult], path: Path, *, overwrite: bool = False) -> Path:
    """Write results as they come to an HDF5, Parquet or CSV file, chosen by its suffix.

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


def read_results(path: Path) -> Iterator[NuGraphResult]:
    """Read back what :func:`write_results` wrote, one event at a time.

    Raises:
        NaiadError: ``path`` is not a file of NuGraph results.
    """
    if suffix_of(path) not in (*_HDF5, *_PARQUET):
        raise NaiadError(f"{path} must end in {', '.join(_HDF5)}, {' or '.join(_PARQUET)}")
    if not path.is_file():
        raise NaiadError(f"{path}: no such file")
    return _read_hdf5(path) if suffix_of(path) in _HDF5 else read_parquet(path)


def _append_block(file: Any, block: Sequence[NuGraphResult], first: int) -> None:
    """Append events numbered from ``first``."""
    labels = block[0].labels
    if not first:
        file.attrs.update({**facts(labels), "planes": list(PLANES)})
    columns = {
        "event_id": np.array([(r.run, r.subrun, r.event) for r in block], np.int32),
        "unknown_hits": np.array([[r.unknown_hits] for r in block], np.int32),
    }
    for part in _stored(labels, per_hit=False):
        columns[part.hdf5] = np.stack([np.atleast_1d(r.part(part)) for r in block])
    for name, column in columns.items():
        _append(file, f"event_table/{name}", column)
    counts = np.array([r.num_hits for r in block])
    numbers = np.arange(first, first + len(block))
    for table, rows in (("event_table", np.ones_like(counts)), ("hit_table", counts)):
        sequence = np.stack([numbers, rows], axis=1)[rows > 0].astype(np.int64)
        _append(file, f"{table}/event_id.seq_cnt", sequence)
    for name, column in _hit_columns(block, labels).items():
        _append(file, f"hit_table/{name}", column)
    if not first:
        for name, about in dataset_facts(labels).items():
            file[name].attrs.update(about)


def _stored(labels: Labels, *, per_hit: bool) -> list[Part]:
    return [part for part in labels.parts(per_hit=per_hit) if part.hdf5]


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


def _hit_columns(block: Sequence[NuGraphResult], labels: Labels) -> dict[str, NDArray[Any]]:
    """Return the columns of ``hit_table`` for some events, each ``[n, k]``."""
    counts = [r.num_hits for r in block]
    ids = np.array([(r.run, r.subrun, r.event) for r in block], np.int32).reshape(-1, 3)
    columns: dict[str, NDArray[Any]] = {"event_id": np.repeat(ids, counts, axis=0)}
    for name in HIT_DTYPES:
        column = np.concatenate([r.columns[name] for r in block])
        columns[PYNUML.get(name, name)] = column[:, None]
    for part in _stored(labels, per_hit=True):
        values = np.concatenate([r.part(part) for r in block])
        columns[part.hdf5] = values if part.along else values[:, None]
    return columns


def _read_hdf5(path: Path) -> Iterator[NuGraphResult]:
    try:
        opened = _h5py().File(path, "r")
    except OSError as error:
        raise NaiadError(f"{path} is not an HDF5 file: {error}") from None
    with opened as file:
        if not {"content", "notice"} <= set(file.attrs) or "hit_table/hit_id" not in file:
            raise NaiadError(f"{path} has no NuGraph results")
        tables = {True: "hit_table", False: "event_table"}
        where = {
            part.name: f"{tables[head.per_hit]}/{part.hdf5}"
            for head in HEADS.values()
            for part in head.parts
            if part.hdf5
        }

        def width(part: Part) -> int:
            place = where[part.name]
            return file[place].shape[1] if place in file else 0

        def read(rows: slice, *, per_hit: bool) -> dict[str, NDArray[Any]]:
            found: dict[str, NDArray[Any]] = {}
            for part in _stored(labels, per_hit=per_hit):
                column = file[where[part.name]]
                found[part.name] = column[rows] if part.along else column[rows, 0]
            return found

        labels = labels_of(file.attrs, width)
        events = {
            "event_id": file["event_table/event_id"][:],
            "unknown_hits": file["event_table/unknown_hits"][:, 0],
        }
        of_event = read(slice(None), per_hit=False)
        counts = np.zeros(len(events["event_id"]), np.int64)
        sequence = file["hit_table/event_id.seq_cnt"][:]
        counts[sequence[:, 0]] = sequence[:, 1]
        ends = np.concatenate([[0], np.cumsum(counts)])
        hits = file["hit_table"]
        for number, (start, stop) in enumerate(pairwise(ends.tolist())):
            run, subrun, event = events["event_id"][number].tolist()
            yield NuGraphResult(
                run=run,
                subrun=subrun,
                event=event,
                columns={name: hits[PYNUML.get(name, name)][start:stop, 0] for name in HIT_DTYPES},
                values={
                    **read(slice(start, stop), per_hit=True),
                    **{name: values[number] for name, values in of_event.items()},
                },
                labels=labels,
                unknown_hits=int(events["unknown_hits"][number]),
            )


def _h5py() -> Any:
    try:
        import h5py
    except ModuleNotFoundError:
        raise MissingExtra("nugraph3-client", "h5py") from None
    return h5py
