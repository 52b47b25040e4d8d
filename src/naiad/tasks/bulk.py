"""Tasks in the form that :mod:`naiad.bulk` takes, for ``naiad process``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

from naiad.core.pipeline import Request
from naiad.core.schema import Arrays
from naiad.files import suffix_of
from naiad.tasks.output import open_writer, writer_class
from naiad.tasks.requests import answer_of
from naiad.tasks.sources import Files, open_source
from naiad.tasks.task import Json, Opens, Parses, Source, Task, Writer


class TaskBulk:
    """The :class:`~naiad.bulk.application.Bulk` of a task with options."""

    def __init__(self, task: Task[Any, Any], options: Any) -> None:
        """Work on the inputs of a task."""
        self.task, self.options = task, options
        self.unit, self.example = task.unit, task.example
        # Parquet before CSV, which cannot record provenance.
        self.suffixes = tuple(dict.fromkeys([*task.formats, ".parquet", ".csv"]))

    def find(self, path: Path) -> Iterator[Path]:
        """Yield the inputs at a path; errors as of `Task.find`.

        If each file is one unit, a folder is one input, with one file of results.
        """
        found = self.task.find(path)
        if isinstance(self.task, Opens | Parses) or not path.is_dir():
            return found
        next(found)  # raises if there is no file
        return iter([path])

    def fingerprint(self, path: Path) -> str:
        """Return a file's size and time of change, or a digest of those in a folder."""
        if path.is_dir():
            known = [f"{file.relative_to(path)} {_state(file)}" for file in self.task.find(path)]
            return sha256("\n".join(known).encode(errors="surrogateescape")).hexdigest()
        return _state(path)

    def open(self, path: Path) -> Source[Any]:
        """Open an input."""
        if path.is_dir() and not isinstance(self.task, Opens):
            return Files(self.task, list(self.task.find(path)))
        return open_source(self.task, path)

    def request(self, item: Any, metadata: Mapping[str, str]) -> Request:
        """Make the request for a unit."""
        unit = self.task.coerce(item, self.options)
        request = self.task.request_for(unit, self.options, self.task.card(metadata))
        return request if isinstance(request, Request) else Request(request)

    def writer(self, path: Path, metadata: Mapping[str, str]) -> _Writer:
        """Begin a file of results, which is created with the first result."""
        return _Writer(self, path, self.task.card(metadata))

    def merge(self, parts: Sequence[Path], path: Path, provenance: Json) -> None:
        """Merge the results of all parts into one file."""
        writer_class(self.task, suffix_of(path)).merge(self.task, parts, path, provenance)

    def named_options(self) -> Json:
        """Return the options by name."""
        return asdict(self.options)


def _state(path: Path) -> str:
    known = path.stat()
    return f"{known.st_size} bytes, changed at {known.st_mtime_ns} ns"


class _Writer:
    def __init__(self, bulk: TaskBulk, path: Path, card: Any) -> None:
        self._task, self._options = bulk.task, bulk.options
        self._path, self._card = path, card
        self._writer: Writer | None = None

    def add(self, name: str, item: Any, outputs: Arrays) -> None:
        unit = self._task.coerce(item, self._options)
        result = answer_of(self._task, unit, outputs, self._card)
        if self._writer is None:
            self._writer = open_writer(self._task, self._path, self._card, self._options)
        self._writer.add(name, item, result)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
