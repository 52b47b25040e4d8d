"""Events in ROOT files: a tree with an entry per event, and a jagged branch per column.

A branch is named by table and column of pynuml's layout: ``hit_table_local_wire``,
``spacepoint_table_hit_id_u``, ``particle_table_g4_id``, also with a dot; the columns of hits and
spacepoints, and ``run``, ``subrun`` and ``event``, may leave the table out. Vectors are three
branches, such as ``spacepoint_table_position_x``, ``_y``, ``_z``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from naiad.applications.nugraph.root_trees import RootDraft, import_uproot
from naiad.applications.nugraph.tables import EVENT_ID, Reader, Table, join_vectors, numbered
from naiad.errors import InvalidInput

Array = NDArray[Any]
Rows = Mapping[str, Mapping[str, Array]]

_EVENTS: Final = "event_table"
_ENTRIES_PER_READ: Final = 4096
_EVENTS_PER_WRITE: Final = 256


class RootFile:
    """The tree of events in an open ROOT file."""

    def __init__(self, path: Path, marks: Collection[str]) -> None:
        """Open the first tree that has a branch for each of the columns ``marks`` of hits.

        Raises:
            InvalidInput: it is no ROOT file, or has no such tree.
            MissingExtra: uproot is not installed.
        """
        uproot, self._ak = import_uproot()
        self.path = path
        try:
            self._file = uproot.open(path)
            named = self._file.classnames(recursive=True, cycle=False)
            trees = [name for name, kind in named.items() if kind == "TTree"]
            for name in trees:
                self._tree = self._file[name]
                self._branches = self._tree.keys(full_paths=False)
                if all(self._branch("hit_table", column, plain=True) for column in marks):
                    break
            else:
                self.close()
                raise InvalidInput(
                    f"{path} has no tree with a branch for each column of its hits: "
                    f"{', '.join(f'hit_table_{column}' for column in marks)}; its trees are "
                    f"{', '.join(trees) or 'none'}"
                )
        except (OSError, ValueError, KeyError, AssertionError) as error:
            raise InvalidInput(f"{path} is not a ROOT file, or is damaged: {error}") from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def open_table(self, name: str, columns: Collection[str]) -> Table | None:
        """Return a table, or None if the tree has no branch of it.

        Args:
            name: of the table.
            columns: those that need no name of the table before them.
        """
        branches: dict[str, str] = {}
        for branch in self._branches:
            for prefix in (f"{name}_", f"{name}."):
                if branch.startswith(prefix):
                    branches[branch.removeprefix(prefix)] = branch
        for column in columns:
            if column not in branches and column in self._branches:
                branches[column] = column
        if name == _EVENTS:
            return self._event_table(branches)
        if not branches:
            return None
        counts = self._counts(next(iter(branches.values())))
        ends = np.cumsum(counts)
        readers = {
            column: self._jagged(branch, np.concatenate([[0], ends]))
            for column, branch in branches.items()
        }
        there = np.flatnonzero(counts)
        sequence = np.stack([there, counts[there]], axis=1)
        rows = int(counts.sum())
        return Table(self.path, name, rows, join_vectors(name, readers), None, sequence)

    def _event_table(self, branches: Mapping[str, str]) -> Table:
        entries = self._tree.num_entries
        readers = {column: self._flat(branch) for column, branch in branches.items()}
        own = {column: readers.pop(column) for column in EVENT_ID if column in readers}

        def ids(start: int, stop: int) -> Array:
            found = numbered(np.arange(start, stop))
            for place, column in enumerate(EVENT_ID):
                if column in own:
                    found[:, place] = own[column](start, stop)
            return found

        every = np.stack([np.arange(entries), np.ones(entries, np.int64)], axis=1)
        return Table(self.path, _EVENTS, entries, join_vectors(_EVENTS, readers), ids, every)

    def _branch(self, table: str, column: str, *, plain: bool) -> str | None:
        names = [f"{table}_{column}", f"{table}.{column}", *([column] if plain else [])]
        return next((name for name in names if name in self._branches), None)

    def _counts(self, branch: str) -> NDArray[np.int64]:
        """Return the number of rows of each entry."""
        counts = [np.empty(0, np.int64)]
        for start in range(0, self._tree.num_entries, _ENTRIES_PER_READ):
            block = self._array(branch, start, start + _ENTRIES_PER_READ)
            if block.ndim < 2:
                raise InvalidInput(
                    f"{self.path}: branch {branch} has one value per event; it must have several"
                )
            counts.append(self._ak.to_numpy(self._ak.num(block)))
        return np.concatenate(counts).astype(np.int64)

    def _flat(self, branch: str) -> Reader:
        return lambda start, stop: self._ak.to_numpy(self._array(branch, start, stop))

    def _jagged(self, branch: str, ends: NDArray[np.int64]) -> Reader:
        """Return a reader of the rows of all events; event i has ``ends[i]:ends[i + 1]``."""

        def read(start: int, stop: int) -> Array:
            first = max(int(np.searchsorted(ends, start, "right")) - 1, 0)
            last = max(int(np.searchsorted(ends, stop)), first)
            block = self._array(branch, first, last)
            counts = self._ak.to_numpy(self._ak.num(block))
            wanted = np.diff(ends[first : last + 1])
            if not np.array_equal(counts, wanted):
                at = int(np.flatnonzero(counts != wanted)[0])
                raise InvalidInput(
                    f"{self.path}: branch {branch} has {counts[at]} rows in event {first + at}, "
                    f"the table's first branch has {wanted[at]}; they must be equal"
                )
            rows = self._ak.to_numpy(self._ak.flatten(block))
            return rows[start - int(ends[first]) : stop - int(ends[first])]

        return read

    def _array(self, branch: str, start: int, stop: int) -> Any:
        try:
            return self._tree[branch].array(entry_start=start, entry_stop=stop, library="ak")
        except (OSError, ValueError) as error:
            raise InvalidInput(f"{self.path}: branch {branch} is damaged: {error}") from error


class RootEvents:
    """A ROOT file of events in progress."""

    def __init__(self, path: Path) -> None:
        """Begin a file.

        Raises:
            MissingExtra: uproot is not installed.
            OSError: the file cannot be written.
        """
        self._draft = RootDraft(path, {}, "events in pynuml's tables")
        self._waiting: list[tuple[tuple[int, int, int], Rows]] = []

    def add(self, name: tuple[int, int, int], tables: Rows) -> None:
        """Add one event: run, subrun and event number, and its tables."""
        self._waiting.append((name, tables))
        if len(self._waiting) >= _EVENTS_PER_WRITE:
            self.flush()

    def flush(self) -> None:
        """Write the events that are held."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        values: dict[str, Array] = {
            column: np.array([name[place] for name, _ in waiting], np.int32)
            for place, column in enumerate(EVENT_ID)
        }
        tables: dict[str, tuple[dict[str, Array], Array]] = {}
        for table in waiting[0][1]:
            parts = [_split(table, rows[table]) for _, rows in waiting]
            columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
            if table == _EVENTS:
                values |= columns
            elif columns:
                counts = np.array([len(next(iter(part.values()))) for part in parts])
                tables[table] = columns, counts
        self._draft.extend(values, tables)

    def close(self) -> None:
        """Finish the file, without the events that are held."""
        self._draft.close()


def _split(table: str, columns: Mapping[str, Array]) -> dict[str, Array]:
    """Return the branches of a table's columns; texts are left out, and vectors split."""
    found: dict[str, Array] = {}
    for name, values in columns.items():
        if values.dtype.kind in "OSU" or name == "event_id":
            continue
        if values.ndim == 1:
            found[f"{table}_{name}"] = values
            continue
        suffixes = "uvy" if name == "hit_id" else "xyz" if values.shape[1] == 3 else None
        for part, suffix in enumerate(suffixes or map(str, range(values.shape[1]))):
            found[f"{table}_{name}_{suffix}"] = np.ascontiguousarray(values[:, part])
    return found
