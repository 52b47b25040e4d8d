"""Neutrino events and their HDF5 and ROOT files.

Reads pynuml's layout and pandas' HDFStore in "fixed" format, and pynuml's tables as branches of a
ROOT tree, one event at a time, so files may be larger than memory; writes pynuml's layout or ROOT,
streaming. Units are those of pynuml: wires, ticks and
ADC counts for hits, cm for positions, MeV for deposited energy and GeV for the neutrino.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from naiad.applications.nugraph import labels, tables
from naiad.applications.nugraph.tables import Table, h5py
from naiad.errors import InvalidInput, NaiadError
from naiad.files import suffix_of

Array = NDArray[Any]
_OpenTable: TypeAlias = "Callable[[str], Table | None]"

ROOT: Final = ".root"
"""Suffix of ROOT files; others are HDF5."""

HIT_COLUMNS: Final[Mapping[str, str]] = {
    "hit_id": "int32",
    "local_plane": "int32",
    "local_time": "float32",
    "local_wire": "int32",
    "integral": "float32",
    "rms": "float32",
}
"""Columns of the hit_table and their dtypes."""

EXTRA_HIT_COLUMNS: Final[Mapping[str, str]] = {"tpc": "int32"}
"""Columns that a hit_table may have, and their dtypes."""

SPACEPOINT_COLUMNS: Final[Mapping[str, str]] = {
    "spacepoint_id": "int32",
    "hit_id_u": "int32",
    "hit_id_v": "int32",
    "hit_id_y": "int32",
}
"""Columns of the spacepoint_table and their dtypes; -1 where a plane has no hit."""

TRUTH_TABLES: Final[Mapping[str, tuple[str, ...]]] = {
    "event_table": ("is_cc", "nu_pdg"),
    "particle_table": ("g4_id", "category"),
    "edep_table": ("hit_id", "g4_id", "energy"),
}
"""Tables of the truth, and the columns that it needs of each."""
_NEEDED: Final = {"hit_table": HIT_COLUMNS, "spacepoint_table": SPACEPOINT_COLUMNS}
POSITION: Final = "position"
"""Column of spacepoints that files may lack."""
BLOCK: Final = 64
"""Events read or written together."""
# Bytes per column; HDF5 2 takes 8 MB by default, 100 MB in all for data that is read once.
_CHUNK_CACHE: Final = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """The truth of a simulated event.

    ``semantic``: class of each hit, int64 ``[hits]``, an index into `labels.SEMANTIC_CLASSES` or
    -1 for background; ``event_class``: index into `labels.EVENT_CLASSES`; ``vertex``: float32
    ``[3]`` in cm; ``tables``: the columns of ``event_table``, ``particle_table`` and
    ``edep_table`` from which the labels come.
    """

    semantic: NDArray[np.int64]
    event_class: int
    vertex: NDArray[np.float32]
    tables: Mapping[str, Mapping[str, Array]]

    @classmethod
    def from_tables(cls, hit_ids: Array, contents: Mapping[str, Mapping[str, Array]]) -> Truth:
        """Derive the labels of the hits with these ids from pynuml's truth tables."""
        event = contents["event_table"]
        return cls(
            labels.semantic_labels(hit_ids, contents["particle_table"], contents["edep_table"]),
            labels.event_label(event),
            labels.vertex(event),
            contents,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Event:
    """One event: its hits and its spacepoints, as columns of equal length.

    ``hits`` has the columns `HIT_COLUMNS` and, where known, `EXTRA_HIT_COLUMNS`; ``spacepoints``
    those of `SPACEPOINT_COLUMNS` and, where known, ``position``, float32 ``[spacepoints, 3]`` in
    cm.
    """

    run: int
    subrun: int
    event: int
    hits: Mapping[str, Array]
    spacepoints: Mapping[str, Array]
    truth: Truth | None = None

    @property
    def id(self) -> tuple[int, int, int]:
        """Run, subrun and event number."""
        return self.run, self.subrun, self.event

    @property
    def name(self) -> str:
        """The event's numbers in words."""
        return _name(*self.id)

    def arrays(self, *, extra: bool = False) -> dict[str, Array]:
        """Return the ten tensors that every model takes, by name.

        Args:
            extra: add those of `EXTRA_HIT_COLUMNS` that the event has.
        """
        given = [name for name in EXTRA_HIT_COLUMNS if extra and name in self.hits]
        return {
            **{f"hit_table_{name}": self.hits[name] for name in (*HIT_COLUMNS, *given)},
            **{f"spacepoint_table_{name}": self.spacepoints[name] for name in SPACEPOINT_COLUMNS},
        }


class EventFile:
    """The events of a file, read on demand.

    A sequence: ``len(file)``, ``file[3]``, ``for event in file``, and ``file[10:20]``, a view of
    the same open file. Close it, or use it in a ``with`` block.
    """

    def __init__(
        self,
        file: tables.Node,
        found: Mapping[str, Table],
        index: tables.Index,
        events: range,
    ) -> None:
        """Use `open_events` instead."""
        self._file, self._tables, self._index, self._events = file, found, index, events
        self._hit_columns = {**HIT_COLUMNS} | {
            name: dtype
            for name, dtype in EXTRA_HIT_COLUMNS.items()
            if name in found["hit_table"].columns
        }
        self.has_truth = all(name in found for name in TRUTH_TABLES)

    def __len__(self) -> int:
        return len(self._events)

    @overload
    def __getitem__(self, key: int) -> Event: ...
    @overload
    def __getitem__(self, key: slice) -> EventFile: ...
    def __getitem__(self, key: int | slice) -> Event | EventFile:
        chosen = self._events[key]
        if isinstance(chosen, range):
            return EventFile(self._file, self._tables, self._index, chosen)
        return next(self._read(range(chosen, chosen + 1)))

    def __iter__(self) -> Iterator[Event]:
        for start in range(0, len(self._events), BLOCK):
            yield from self._read(self._events[start : start + BLOCK])

    def read(self, numbers: range) -> Iterator[tuple[str, Event | Exception]]:
        """Yield each event's name, and the event or the error raised when reading it."""
        for start in range(0, len(numbers), BLOCK):
            block = numbers[start : start + BLOCK]
            names = [_name(*self.ids[number].tolist()) for number in block]
            try:
                # Much faster together, but one unreadable event fails them all.
                events = list(self[block.start : block.stop : block.step])
            except (NaiadError, OSError):
                events = [self._read_one(number) for number in block]
            yield from zip(names, events, strict=True)

    @property
    def ids(self) -> NDArray[np.int64]:
        """Run, subrun and event number of every event, ``[events, 3]``, without reading them."""
        return self._index.ids[self._events.start : self._events.stop : self._events.step]

    def close(self) -> None:
        """Close the file; events already read stay valid."""
        self._file.close()

    def __enter__(self) -> EventFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read_one(self, number: int) -> Event | Exception:
        try:
            return self[number]
        except (NaiadError, OSError) as error:
            return error

    def _read(self, events: range) -> Iterator[Event]:
        readers = {
            name: tables.windows(table, self._index.runs[name], events)
            for name, table in self._tables.items()
        }
        for number in events:
            column = {name: next(reader) for name, reader in readers.items()}
            yield self._event(number, column)

    def _event(self, number: int, column: Mapping[str, Callable[[str], Array]]) -> Event:
        hits = self._columns("hit_table", column["hit_table"], self._hit_columns)
        spacepoints = self._columns(
            "spacepoint_table", column["spacepoint_table"], SPACEPOINT_COLUMNS
        )
        if POSITION in self._tables["spacepoint_table"].columns:
            position = column["spacepoint_table"](POSITION)
            spacepoints[POSITION] = np.ascontiguousarray(position, np.float32)
        truth = None
        if self.has_truth:
            contents = {
                name: {key: column[name](key) for key in self._tables[name].columns}
                for name in TRUTH_TABLES
            }
            if len(contents["event_table"]["is_cc"]):
                truth = Truth.from_tables(hits["hit_id"], contents)
        run, subrun, event = self._index.ids[number].tolist()
        return Event(run, subrun, event, hits, spacepoints, truth)

    def _columns(
        self, table: str, read: Callable[[str], Array], columns: Mapping[str, str]
    ) -> dict[str, Array]:
        return {
            name: tables.exactly(read(name), dtype, f"{self._tables[table].file}: {table}/{name}")
            for name, dtype in columns.items()
        }


def open_events(path: Path | str, *, truth: bool = True) -> EventFile:
    """Open a file of events, ROOT or HDF5; ``truth=False`` leaves the truth tables unread.

    Raises `InvalidInput` if the file does not exist or has another format, or if it lacks a table
    or column; the message names what is missing and what the file has.
    """
    path = Path(path)
    if not path.is_file():
        raise InvalidInput(f"{path}: no such file")
    file, open_table = _open_root(path) if suffix_of(path) == ROOT else _open_hdf5(path)
    try:
        found = _open_tables(open_table, truth)
        index = tables.build_index(found)
    except BaseException:
        file.close()
        raise
    return EventFile(file, found, index, range(len(index.ids)))


def _open_hdf5(path: Path) -> tuple[tables.Node, _OpenTable]:
    try:
        file = h5py.File(path, "r", rdcc_nbytes=_CHUNK_CACHE)
    except OSError as error:
        raise InvalidInput(f"{path} is not an HDF5 file, or is damaged: {error}") from error

    def open_table(name: str) -> Table | None:
        table = tables.open_table(file, path, name)
        if table is None and name in _NEEDED:
            raise InvalidInput(
                f"{path} has no table {name!r}; an event file has hit_table and spacepoint_table; "
                f"this one has {', '.join(file) or 'nothing'}"
            )
        return table

    return file, open_table


def _open_root(path: Path) -> tuple[tables.Node, _OpenTable]:
    from naiad.applications.nugraph.root_events import RootFile

    file = RootFile(path, HIT_COLUMNS)
    plain = {
        "hit_table": (*HIT_COLUMNS, *EXTRA_HIT_COLUMNS),
        "spacepoint_table": (*SPACEPOINT_COLUMNS, *(f"{POSITION}_{axis}" for axis in "xyz")),
        "event_table": tables.EVENT_ID,
    }
    return file, lambda name: file.open_table(name, plain.get(name, ()))


def _open_tables(open_table: _OpenTable, truth: bool) -> dict[str, Table]:
    found: dict[str, Table] = {}
    for name, columns in _NEEDED.items():
        table = open_table(name)
        assert table is not None
        table.require(*columns)
        found[name] = table
    for name in TRUTH_TABLES:
        table = open_table(name)
        # The event_table of real data has no truth, but lists the events.
        if table is not None and (name == "event_table" or truth):
            found[name] = table
    if not truth or not _tells_truth(found):
        for name in ("particle_table", "edep_table"):
            found.pop(name, None)
    return found


def _tells_truth(found: Mapping[str, Table]) -> bool:
    complete = all(
        name in found and all(column in found[name].columns for column in columns)
        for name, columns in TRUTH_TABLES.items()
    )
    return complete and not {"nu_vtx", "nu_vtx_corr"}.isdisjoint(found["event_table"].columns)


def write_events(
    path: Path | str,
    events: Iterable[Event],
    *,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Write events to a new file in pynuml's layout, or ROOT, with any truth; return their number.

    Events are written as they come; ``progress`` is called with the number written so far. The
    file appears under its name when it is complete. All events must have the same columns: truth
    in all or in none, and likewise ``tpc`` of hits and ``position`` of spacepoints.

    Raises `InvalidInput` if they do not, or if columns of an event differ in length.
    """
    from naiad.applications.nugraph.event_writers import Hdf5EventWriter, RootEventWriter

    path = Path(path)
    make = RootEventWriter if suffix_of(path) == ROOT else Hdf5EventWriter
    partial = path.with_name(f".{path.name}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with closing(make(partial)) as writer:
            for event in events:
                writer.add(event)
                if progress is not None and writer.events % BLOCK == 0:
                    progress(writer.events)
            writer.flush()
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    if progress is not None:
        progress(writer.events)
    return writer.events


def _name(run: int, subrun: int, event: int) -> str:
    return f"run {run}, subrun {subrun}, event {event}"
