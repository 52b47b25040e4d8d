"""Writers of events to HDF5 files, in pynuml's layout, and to ROOT files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from naiad.applications.nugraph import tables
from naiad.applications.nugraph.events import (
    BLOCK,
    EXTRA_HIT_COLUMNS,
    HIT_COLUMNS,
    POSITION,
    SPACEPOINT_COLUMNS,
    TRUTH_TABLES,
    Event,
)
from naiad.applications.nugraph.tables import h5py
from naiad.errors import InvalidInput
from naiad.hdf5 import Hdf5Draft

Array = NDArray[Any]

_CHUNK_ROWS: Final = 4096


class _Checked:
    """Writes events after a check that they have the same columns."""

    def __init__(self) -> None:
        self.events = 0
        self._columns: dict[str, frozenset[str]] = {}

    def _checked(self, event: Event) -> dict[str, dict[str, Array]]:
        """Return the tables of the next event."""
        rows = _rows(event)
        columns = {name: frozenset(table) for name, table in rows.items()}
        if self.events == 0:
            self._columns = columns
        elif columns != self._columns:
            raise InvalidInput(
                f"event {self.events} ({event.run}, {event.subrun}, {event.event}) has the columns "
                f"{_listed(columns)}; the events before it have {_listed(self._columns)}"
            )
        for name, table in rows.items():
            lengths = {column: len(values) for column, values in table.items()}
            count = next(iter(lengths.values()))
            for column, length in lengths.items():
                if length != count:
                    raise InvalidInput(
                        f"event {self.events}: {name}/{column} has {length} rows, but "
                        f"{next(iter(lengths))} has {count}; they must be equal"
                    )
        self.events += 1
        return rows


class RootEventWriter(_Checked):
    """Events appended to a ROOT file."""

    def __init__(self, path: Path) -> None:
        """Begin a file.

        Raises:
            OSError: it cannot be written.
        """
        from naiad.applications.nugraph.root_events import RootEvents

        super().__init__()
        self._file = RootEvents(path)

    def add(self, event: Event) -> None:
        """Add an event.

        Raises:
            InvalidInput: its columns differ from those of earlier ones, or in length.
        """
        self._file.add(event.id, self._checked(event))

    def flush(self) -> None:
        """Write the events that are held."""
        self._file.flush()

    def close(self) -> None:
        """Finish the file, without the events that are held."""
        self._file.close()


class Hdf5EventWriter(_Checked):
    """Rows of events, appended to an HDF5 file block by block."""

    def __init__(self, path: Path) -> None:
        """Begin a file.

        Raises:
            OSError: it cannot be written.
        """
        super().__init__()
        self._draft = Hdf5Draft(path)
        self._waiting: dict[str, list[dict[str, Array]]] = {}
        self._empty = _rows(Event(0, 0, 0, _no_rows(HIT_COLUMNS), _no_rows(SPACEPOINT_COLUMNS)))

    def add(self, event: Event) -> None:
        """Add an event.

        Raises:
            InvalidInput: its columns differ from those of earlier ones, or in length.
        """
        number, rows = self.events, self._checked(event)
        for name, table in rows.items():
            count = len(next(iter(table.values())))
            table["event_id"] = np.tile(np.array(event.id, np.int32), (count, 1))
            table["event_id.seq_cnt"] = np.array([(number, count)] if count else [], np.int64)
            table["event_id.seq_cnt"] = table["event_id.seq_cnt"].reshape(-1, 2)
            self._waiting.setdefault(name, []).append(table)
        if self.events % BLOCK == 0:
            self.flush()

    def flush(self) -> None:
        """Write the events that are held."""
        if self.events == 0:
            for name, table in self._empty.items():
                table["event_id"] = np.empty((0, 3), np.int32)
                table["event_id.seq_cnt"] = np.empty((0, 2), np.int64)
                self._waiting[name] = [table]
        self._draft.commit(self._append_to)
        self._waiting.clear()

    def close(self) -> None:
        """Finish the file, without the events that are held."""
        self._draft.close()

    def _append_to(self, file: tables.Node) -> None:
        for name, blocks in self._waiting.items():
            group = file.require_group(name)
            for column in blocks[0]:
                _append(group, column, np.concatenate([block[column] for block in blocks]))


def _rows(event: Event) -> dict[str, dict[str, Array]]:
    """Return the tables of one event as written, without the columns that index them."""
    points = event.spacepoints
    spacepoints = {
        "spacepoint_id": points["spacepoint_id"],
        "hit_id": np.stack([points[f"hit_id_{plane}"] for plane in "uvy"], axis=1),
    }
    if POSITION in points:
        spacepoints[POSITION] = points[POSITION]
    rows: dict[str, dict[str, Array]] = {
        "event_table": {"event_id": np.empty((1, 3), np.int32)},
        "hit_table": {
            name: event.hits[name]
            for name in (*HIT_COLUMNS, *(EXTRA_HIT_COLUMNS.keys() & event.hits.keys()))
        },
        "spacepoint_table": spacepoints,
    }
    if event.truth is not None:
        for name in TRUTH_TABLES:
            rows.setdefault(name, {}).update(event.truth.tables[name])
    return rows


def _no_rows(columns: Mapping[str, str]) -> dict[str, Array]:
    return {name: np.empty(0, dtype) for name, dtype in columns.items()}


def _listed(columns: Mapping[str, frozenset[str]]) -> str:
    return ", ".join(f"{table}/{name}" for table in columns for name in sorted(columns[table]))


def _append(group: tables.Node, column: str, values: Array) -> None:
    """Append rows to a dataset ``[rows, k]``, creating it if needed."""
    values = values.reshape(len(values), int(np.prod(values.shape[1:], dtype=np.int64)))
    node = group.get(column)
    if node is None:
        group.create_dataset(
            column,
            data=values,
            dtype=h5py.string_dtype("ascii") if values.dtype == object else values.dtype,
            chunks=(_CHUNK_ROWS, values.shape[1]),
            maxshape=(None, values.shape[1]),
            compression="gzip",
            shuffle=values.dtype != object,
        )
    elif len(values):
        end = node.shape[0]
        node.resize(end + len(values), axis=0)
        node[end:] = values
