"""Files of events for ``naiad process nugraph3``: one file of results for each.

Read at the start of every ``naiad`` command: heavy modules are imported inside the functions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from naiad.bulk.merging import merge_hdf5, merge_parquet
from naiad.core.pipeline import Request
from naiad.core.schema import Arrays
from naiad.errors import InvalidInput

if TYPE_CHECKING:
    from naiad.applications.nugraph.events import Event, EventFile
    from naiad.applications.nugraph.result_files import ResultWriter
    from naiad.applications.nugraph.results import Labels

_SUFFIXES: Final = frozenset({".h5", ".hdf5"})


@dataclass(frozen=True)
class NuGraph3Bulk:
    """Event files in, files as :mod:`naiad.applications.nugraph.result_files` has them out."""

    unit: ClassVar[str] = "events"
    suffixes: ClassVar[tuple[str, ...]] = (".h5", ".parquet")
    example: ClassVar[str] = "events/*.h5"

    strict: bool = field(
        default=False, metadata={"help": "Refuse events whose spacepoints name unknown hits."}
    )

    def find(self, path: Path) -> Iterator[Path]:
        """Give the file, or all HDF5 files of a folder and those below.

        Raises:
            InvalidInput: a folder has none.
        """
        if not path.is_dir():
            yield path
            return
        found = sorted(p for p in path.rglob("*") if p.suffix in _SUFFIXES and p.is_file())
        if not found:
            raise InvalidInput(f"{path} has no event file ({', '.join(sorted(_SUFFIXES))})")
        yield from found

    def fingerprint(self, path: Path) -> str:
        """Size and time of the last change."""
        known = path.stat()
        return f"{known.st_size} bytes, changed at {known.st_mtime_ns} ns"

    def open(self, path: Path) -> _Events:
        """Open a file.

        Raises:
            InvalidInput: it is no file of events.
        """
        from naiad.applications.nugraph.events import open_events

        return _Events(open_events(path, truth=False))

    def request(self, item: Event, metadata: Mapping[str, str]) -> Request:
        """An event's tensors, as the typed client sends them."""
        return Request(
            item.arrays(), id="/".join(map(str, item.id)), parameters={"strict": self.strict}
        )

    def writer(self, path: Path, metadata: Mapping[str, str]) -> _Writer:
        """Begin a file of results."""
        from naiad.applications.nugraph.result_files import ResultWriter
        from naiad.applications.nugraph.results import Labels

        return _Writer(ResultWriter(path), Labels.from_metadata(metadata))

    def merge(self, parts: Sequence[Path], path: Path, provenance: Mapping[str, Any]) -> None:
        """Write the results of all parts to one file."""
        if path.suffix == ".parquet":
            merge_parquet(parts, path, provenance, numbered="entry")
        else:
            merge_hdf5(
                parts,
                path,
                provenance,
                counted="event_table/event_id",
                numbered="event_id.seq_cnt",
            )


class _Events:
    def __init__(self, file: EventFile) -> None:
        self._file = file

    def __len__(self) -> int:
        return len(self._file)

    def read(self, numbers: range) -> Iterator[tuple[str, Event | Exception]]:
        from naiad.applications.nugraph.reading import read_each

        ids = self._file.ids[numbers.start : numbers.stop].tolist()
        for (run, subrun, event), read in zip(ids, read_each(self._file, numbers), strict=True):
            yield f"run {run}, subrun {subrun}, event {event}", read

    def close(self) -> None:
        self._file.close()


class _Writer:
    def __init__(self, writer: ResultWriter, labels: Labels) -> None:
        self._writer, self._labels = writer, labels

    def add(self, name: str, item: Event, outputs: Arrays) -> None:
        from naiad.applications.nugraph.results import NuGraph3Result

        self._writer.add(NuGraph3Result.from_outputs(item, outputs, self._labels))

    def close(self) -> None:
        self._writer.close()
