"""Event tables in HDF5, in two layouts.

pynuml's layout: a group per table and a dataset per column, ``[rows, 1]`` (or ``[rows, k]`` for a
vector), with ``event_id`` ``[rows, 3]`` (run, subrun, event) and ``event_id.seq_cnt`` ``[m, 2]``:
the sequence number and row count of each event that has rows, in their order.

pandas' HDFStore in "fixed" format (as of pandas 0.15): columns of one type are a block, with their
names in ``block<k>_items`` and their values in ``block<k>_values`` ``[rows, columns]``; a table
without rows is a block of one dummy value with the attribute ``shape``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from naiad.errors import InvalidInput, MissingExtra

try:
    import h5py
except ImportError as error:
    raise MissingExtra("nugraph3-client", "h5py") from error

Array = NDArray[Any]
Reader = Callable[[int, int], Array]
# A group or dataset: to h5py's types, any name may hold any object.
Node = Any

EVENT_ID: Final = ("run", "subrun", "event")
_KEY: Final = "event_id"
_COUNTS: Final = "event_id.seq_cnt"
# Columns that index rows; some files have sequence numbers per row beside the counts.
_INDEXING: Final = (_KEY, _COUNTS, "event_id.seq")
_VECTOR_SUFFIXES: Final = (("x", "y", "z"), ("u", "v", "y"), ("0", "1", "2"))
# Rows of event_id read at once when events must be found by it.
_SCAN_ROWS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Table:
    """One table of an open file, whose columns are read on demand, by rows.

    ``ids`` reads ``[rows, 3]`` (run, subrun, event), ``counts`` is ``event_id.seq_cnt``; each is
    None if the file lacks it.
    """

    file: Path
    name: str
    rows: int
    columns: Mapping[str, Reader]
    ids: Reader | None
    counts: Array | None

    def require(self, *names: str) -> None:
        """Raise `InvalidInput` unless the table has these columns."""
        for name in names:
            if name not in self.columns:
                raise InvalidInput(
                    f"{self.file}: {self.name} has no column {name!r}; it must have "
                    f"{', '.join(names)}; it has {', '.join(sorted(self.columns)) or 'none'}"
                )


def open_table(file: Node, path: Path, name: str) -> Table | None:
    """Return table ``name``, or None if the file lacks it; raise `InvalidInput` if unreadable."""
    group = file.get(name)
    if group is None:
        return None
    if not isinstance(group, h5py.Group):
        raise InvalidInput(f"{path}: {name} is a dataset; it must be a group of columns")
    if "table" in group:
        raise InvalidInput(
            f'{path}: {name} is in pandas\' "table" format; write it with format="fixed"'
        )
    return _open_pandas(group, path, name) if "axis0" in group else _open_pynuml(group, path, name)


def exactly(values: Array, dtype: str, where: str) -> Array:
    """Return the values in the wanted dtype; integers must not change.

    Raises:
        InvalidInput: a row has several values, or one does not fit the dtype; ``where`` names the
            column.
    """
    if values.ndim != 1:
        raise InvalidInput(f"{where} has {values.shape[1:]} values per row; it must have one")
    if values.dtype == dtype:
        return np.ascontiguousarray(values)
    with np.errstate(invalid="ignore"):
        converted = values.astype(dtype)
    if np.issubdtype(converted.dtype, np.integer):
        wrong = converted != values
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise InvalidInput(f"{where} has {values[row]!s}; it must be a whole {dtype} number")
    return converted


def _open_pynuml(group: Node, path: Path, name: str) -> Table:
    datasets = {
        column: node
        for column, node in group.items()
        if isinstance(node, h5py.Dataset) and column not in _INDEXING
    }
    rows = {column: node.shape[0] if node.shape else 1 for column, node in datasets.items()}
    key = group.get(_KEY)
    if key is not None:
        rows[_KEY] = key.shape[0]
        if key.ndim != 2 or key.shape[1] != 3:
            raise InvalidInput(
                f"{path}: {name}/{_KEY} has shape {list(key.shape)}; it must be [rows, 3]: run, "
                "subrun, event"
            )
    if len(set(rows.values())) > 1:
        longest, shortest = max(rows, key=rows.__getitem__), min(rows, key=rows.__getitem__)
        raise InvalidInput(
            f"{path}: {name}/{longest} has {rows[longest]} rows, but {name}/{shortest} has "
            f"{rows[shortest]}; columns of a table must have the same length"
        )
    total = next(iter(rows.values()), 0)
    columns: dict[str, Reader] = {}
    for column, node in datasets.items():
        columns[column] = _reader(node)
        if node.ndim == 2 and column == "hit_id" and node.shape[1] == 3:
            for part, plane in enumerate("uvy"):
                columns[f"hit_id_{plane}"] = _reader(node, part)
            del columns[column]
    return Table(
        path,
        name,
        total,
        columns,
        None if key is None else _reader(key),
        _read_counts(group, path, name, total),
    )


def _read_counts(group: Node, path: Path, name: str, rows: int) -> Array | None:
    node = group.get(_COUNTS)
    if node is None:
        return None
    counts = np.asarray(node[()], np.int64)
    if counts.ndim != 2 or counts.shape[1] != 2:
        raise InvalidInput(
            f"{path}: {name}/{_COUNTS} has shape {list(counts.shape)}; it must be [events, 2]: "
            "sequence number, rows"
        )
    if counts[:, 1].sum() != rows or (counts < 0).any():
        raise InvalidInput(
            f"{path}: {name}/{_COUNTS} counts {counts[:, 1].sum()} rows; the table has {rows}"
        )
    return counts


def _open_pandas(group: Node, path: Path, name: str) -> Table:
    columns: dict[str, Reader] = {}
    rows = 0
    block = 0
    while f"block{block}_values" in group:
        values, items = group[f"block{block}_values"], group[f"block{block}_items"][()]
        block += 1
        if values.dtype == object:
            # Strings are pickled there; no column that we need justifies unpickling a file.
            continue
        empty = "shape" in values.attrs
        rows = 0 if empty else values.shape[0]
        for part, item in enumerate(items):
            column = item.decode() if isinstance(item, bytes) else str(item)
            columns[column] = _nothing(values) if empty else _reader(values, part)
    ids = _pandas_ids(group, columns)
    for column in EVENT_ID:
        columns.pop(column, None)
    return Table(path, name, rows, join_vectors(name, columns), ids, None)


def _pandas_ids(group: Node, columns: Mapping[str, Reader]) -> Reader | None:
    """Read run, subrun and event from columns of these names or from a three-level index.

    A missing run or subrun is 0.
    """
    if "event" in columns:
        return _stacked([columns.get(name, _zeros) for name in EVENT_ID])
    if all(f"axis1_label{level}" in group for level in range(3)):
        levels = [group[f"axis1_level{level}"][()] for level in range(3)]
        labels = [group[f"axis1_label{level}"] for level in range(3)]

        def read(start: int, stop: int) -> Array:
            parts = [
                values[codes[start:stop]] for values, codes in zip(levels, labels, strict=True)
            ]
            return np.stack(parts, axis=1)

        return read
    return None


def join_vectors(table: str, columns: dict[str, Reader]) -> dict[str, Reader]:
    """Join three columns that are the parts of a vector (``nu_vtx_x`` and so on) into one."""
    joined = dict(columns)
    for column in columns:
        for suffixes in _VECTOR_SUFFIXES:
            stem = column.removesuffix(f"_{suffixes[0]}")
            parts = [f"{stem}_{suffix}" for suffix in suffixes]
            if stem != column and stem != "hit_id" and all(part in joined for part in parts):
                joined[stem] = _stacked([columns[part] for part in parts])
                for part in parts:
                    del joined[part]
    return joined


def _reader(node: Node, part: int | None = None) -> Reader:
    if part is not None:
        return lambda start, stop: node[start:stop, part]
    if node.ndim == 2 and node.shape[1] == 1:
        return lambda start, stop: node[start:stop, 0]
    return lambda start, stop: node[start:stop]


def _zeros(start: int, stop: int) -> Array:
    return np.zeros(stop - start, np.int64)


def _nothing(node: Node) -> Reader:
    return lambda start, stop: np.empty(0, node.dtype)


def _stacked(parts: list[Reader]) -> Reader:
    return lambda start, stop: np.stack([part(start, stop) for part in parts], axis=1)


@dataclass(frozen=True, slots=True)
class Runs:
    """The rows of each event: event i has the runs ``first[i]:first[i + 1]``."""

    first: NDArray[np.int64]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]

    def of(self, event: int) -> list[tuple[int, int]]:
        """Return the ranges of rows of one event: usually one, none if it has no rows."""
        runs = slice(int(self.first[event]), int(self.first[event + 1]))
        return list(zip(self.start[runs].tolist(), self.stop[runs].tolist(), strict=True))

    @classmethod
    def build(cls, events: int, owner: Array, start: Array, stop: Array) -> Runs:
        """Make it from the event, first row and end of each run, in any order."""
        order = np.argsort(owner, kind="stable")
        first = np.searchsorted(owner[order], np.arange(events + 1))
        return cls(first, start[order].astype(np.int64), stop[order].astype(np.int64))


@dataclass(frozen=True, slots=True)
class Index:
    """The events of a file: ``ids`` ``[events, 3]``, and the rows of each in every table."""

    ids: NDArray[np.int64]
    runs: Mapping[str, Runs]


def build_index(tables: Mapping[str, Table]) -> Index:
    """Find the events of a file.

    The events are the rows of ``event_table`` if there is one with names or numbers of events, else
    all that have rows in a table. Events without names are numbered by their position: run 0,
    subrun 0, event 0, 1, 2, ... If rows are assigned to no event, the file is one event.
    Raises `InvalidInput` if rows cannot be assigned to events.
    """
    scans = {
        name: _scan(table)
        for name, table in tables.items()
        if table.counts is None and table.ids is not None
    }
    events = tables.get("event_table")
    sequence: NDArray[np.int64] | None = None
    if events is not None and events.ids is not None:
        ids = np.asarray(events.ids(0, events.rows), np.int64).reshape(-1, 3)
    elif any(table.counts is not None for table in tables.values()):
        sequence, ids = _counted_events(tables, 0 if events is None else events.rows)
    elif scans:
        found = dict.fromkeys(key for keys, _, _ in scans.values() for key in keys)
        ids = np.array(list(found), np.int64).reshape(-1, 3)
    else:
        ids = numbered(np.zeros(1, np.int64))
    # Rows found by an id that two events share belong to the first.
    keyed = reversed(list(enumerate(map(tuple, ids.tolist())))) if scans else ()
    numbers = {key: number for number, key in keyed}
    runs: dict[str, Runs] = {}
    for name, table in tables.items():
        if table.counts is not None:
            owner, stop = table.counts[:, 0], np.cumsum(table.counts[:, 1])
            if sequence is not None:
                owner = np.searchsorted(sequence, owner)
            elif len(owner) and owner.max() >= len(ids):
                raise InvalidInput(
                    f"{table.file}: {name}/{_COUNTS} has sequence number {owner.max()}; "
                    f"event_table has {len(ids)} events, counted from 0"
                )
            runs[name] = Runs.build(len(ids), owner, stop - table.counts[:, 1], stop)
        elif name in scans:
            keys, start, stop = scans[name]
            for key in keys:
                if key not in numbers:
                    raise InvalidInput(
                        f"{table.file}: {name} has rows of run {key[0]}, subrun {key[1]}, event "
                        f"{key[2]}, which event_table lacks"
                    )
            owner = np.array([numbers[key] for key in keys], np.int64)
            runs[name] = Runs.build(len(ids), owner, start, stop)
        elif table is events and sequence is not None:
            rows = np.arange(table.rows)
            runs[name] = Runs.build(len(ids), np.searchsorted(sequence, rows), rows, rows + 1)
        elif len(ids) == 1:
            whole = np.array([table.rows])
            runs[name] = Runs.build(1, np.zeros(1, np.int64), np.zeros(1, np.int64), whole)
        else:
            raise InvalidInput(
                f"{table.file}: {name} has neither {_KEY} nor {_COUNTS}; without one of them its "
                f"rows cannot be assigned to the {len(ids)} events of the file"
            )
    return Index(ids, runs)


def _scan(table: Table) -> tuple[list[tuple[int, ...]], NDArray[np.int64], NDArray[np.int64]]:
    """Find runs of rows with the same event_id; return their ids, first rows and ends."""
    assert table.ids is not None
    starts: list[NDArray[np.int64]] = []
    keys: list[tuple[int, ...]] = []
    previous: Array | None = None
    for low in range(0, table.rows, _SCAN_ROWS):
        ids = np.asarray(table.ids(low, min(low + _SCAN_ROWS, table.rows)), np.int64)
        new = np.ones(len(ids), np.bool_)
        new[1:] = (ids[1:] != ids[:-1]).any(axis=1)
        if previous is not None:
            new[0] = bool((ids[0] != previous).any())
        previous = ids[-1]
        starts.append(low + np.flatnonzero(new))
        keys.extend(map(tuple, ids[new].tolist()))
    start = np.concatenate(starts) if starts else np.empty(0, np.int64)
    return keys, start, np.append(start[1:], table.rows)[: len(start)]


def numbered(positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the ids ``[n, 3]`` of events without names: their positions, in run 0, subrun 0."""
    return np.stack([np.zeros_like(positions), np.zeros_like(positions), positions], axis=1)


def _counted_events(
    tables: Mapping[str, Table], rows: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return sequence numbers and ids of all events in the ``seq_cnt`` of any table.

    ``rows`` is the number of rows of an ``event_table`` without names, which are events too.
    """
    counted = [table for table in tables.values() if table.counts is not None]
    sequence = np.unique(
        np.concatenate([np.arange(rows), *(np.asarray(table.counts)[:, 0] for table in counted)])
    ).astype(np.int64)
    ids = numbered(sequence)
    # Of tables that name an event, the first counts.
    for table in reversed(counted):
        if table.ids is not None and table.counts is not None and len(table.counts):
            first = np.cumsum(table.counts[:, 1]) - table.counts[:, 1]
            ids[np.searchsorted(sequence, table.counts[:, 0])] = _ids_at(table, first)
    return sequence, ids


def _ids_at(table: Table, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the ids ``[n, 3]`` at some rows, in rising order, reading the column in pieces."""
    assert table.ids is not None
    ids = np.empty((len(rows), 3), np.int64)
    for low in range(0, table.rows, _SCAN_ROWS):
        high = min(low + _SCAN_ROWS, table.rows)
        here = slice(*np.searchsorted(rows, (low, high)))
        ids[here] = table.ids(low, high)[rows[here] - low]
    return ids


class Window:
    """Rows ``start:stop`` of a table, read at most once per column."""

    def __init__(self, table: Table, start: int, stop: int) -> None:
        self._table, self._start, self._stop = table, start, stop
        self._read: dict[str, Array] = {}

    def column(self, name: str, start: int, stop: int) -> Array:
        """Return rows ``start:stop`` (counted in the table) of one column."""
        if name not in self._read:
            self._read[name] = self._table.columns[name](self._start, self._stop)
        return self._read[name][start - self._start : stop - self._start]


def windows(table: Table, runs: Runs, events: range) -> Iterator[Callable[[str], Array]]:
    """Yield, for each event, a function that reads one column of its rows."""
    ranges = [runs.of(event) for event in events]
    flat = [run for event in ranges for run in event]
    low, high = min((r[0] for r in flat), default=0), max((r[1] for r in flat), default=0)
    wanted = sum(stop - start for start, stop in flat)
    # Read neighbouring events together; between scattered ones there are too many other rows.
    shared = Window(table, low, high) if high - low <= 2 * wanted + 1024 else None
    for event in ranges:
        yield _column_of(table, shared, event)


def _column_of(
    table: Table, shared: Window | None, ranges: list[tuple[int, int]]
) -> Callable[[str], Array]:
    def read(name: str) -> Array:
        parts = [
            (shared or Window(table, start, stop)).column(name, start, stop)
            for start, stop in ranges or [(0, 0)]
        ]
        return parts[0].copy() if len(parts) == 1 else np.concatenate(parts)

    return read
