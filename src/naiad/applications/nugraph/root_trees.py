"""Trees of ROOT files with an entry per event, written block by block.

Values of an event are branches, its tables are groups of jagged branches with one counter each.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from numpy.typing import NDArray

from naiad.errors import MissingExtra
from naiad.hdf5 import Pages

TREE: Final = "events"
"""Name of the tree."""

Columns = Mapping[str, NDArray[Any]]


class RootDraft:
    """A ROOT file in progress, which is on disk as of its last block, even if the disk is full.

    Attributes:
        commits: number of blocks that are on disk.
    """

    def __init__(self, path: Path, texts: Mapping[str, str], title: str) -> None:
        """Begin a file.

        Args:
            path: of the file.
            texts: strings beside the tree, by name (``TObjString``).
            title: of the tree.

        Raises:
            MissingExtra: uproot is not installed.
            OSError: the file cannot be written.
        """
        uproot, _ = import_uproot()
        self._pages = _Sink(path)
        self._file = uproot.recreate(self._pages)
        for name, text in texts.items():
            self._file[name] = text
        self._tree: Any = None
        self._title = title
        self.commits = 0
        self._whole = True

    def extend(self, values: Columns, tables: Mapping[str, tuple[Columns, NDArray[Any]]]) -> None:
        """Append a block of events.

        Args:
            values: of the events, each ``[events]``.
            tables: by name, the columns of all events' rows, each ``[rows]``, and the number of
                rows of each event, ``[events]``. Names of columns are unique among all.

        Raises:
            OSError: it cannot be written; the file on disk is unchanged, and takes no more.
        """
        _, ak = import_uproot()
        jagged = {
            name: ak.unflatten(ak.Array(dict(columns)), counts)
            for name, (columns, counts) in tables.items()
        }
        if not self._whole:
            raise ValueError("a change to this file has failed")
        self._whole = False
        if self._tree is None:
            types = {
                **{name: column.dtype for name, column in values.items()},
                **{
                    name: f"var * {records.type.content.content}"
                    for name, records in jagged.items()
                },
            }
            self._tree = self._file.mktree(
                TREE,
                types,
                title=self._title,
                counter_name=lambda table: f"n{table}",
                field_name=lambda _, column: column,
            )
        self._tree.extend({**values, **jagged})
        self._pages.commit()
        self.commits += 1
        self._whole = True

    def close(self) -> None:
        """Finish the file with its complete blocks; do nothing the second time.

        Raises:
            OSError: it cannot be written.
        """
        if self._pages.closed:
            return
        try:
            if self._whole:
                self._file.close()
                self._pages.commit()
        finally:
            self._pages.end()


class _Sink(Pages):
    """Pages that the file of uproot does not close, as its last changes are committed after it."""

    closed = False

    def close(self) -> None:
        """Do nothing: see `end`."""

    def end(self) -> None:
        """Close the file, without uncommitted changes."""
        self.closed = True
        super().close()


def import_uproot() -> tuple[Any, Any]:
    """Import uproot and awkward; return both.

    Raises:
        MissingExtra: one is not installed.
    """
    try:
        import awkward
        import uproot
    except ModuleNotFoundError as error:
        raise MissingExtra("root", error.name or "uproot") from None
    return uproot, awkward
