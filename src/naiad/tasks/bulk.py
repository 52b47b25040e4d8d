"""A task as :mod:`naiad.bulk` works on it: ``naiad process``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from naiad.core.pipeline import Request
from naiad.core.schema import Arrays
from naiad.tasks.output import open_writer, writer_class
from naiad.tasks.sources import open_source
from naiad.tasks.tables import suffixes_of
from naiad.tasks.task import Json, Source, Task, Writer


class TaskBulk:
    """The :class:`~naiad.bulk.application.Bulk` of a task with options."""

    def __init__(self, task: Task[Any, Any], options: Any) -> None:
        """Work on the inputs of a task."""
        self.task, self.options = task, options
        self.unit, self.suffixes, self.example = task.unit, suffixes_of(task), task.example

    def find(self, path: Path) -> Iterator[Path]:
        """Yield the inputs that a path means; errors as of `Task.find`."""
        return self.task.find(path)

    def fingerprint(self, path: Path) -> str:
        """Return size and time of the last change."""
        known = path.stat()
        return f"{known.st_size} bytes, changed at {known.st_mtime_ns} ns"

    def open(self, path: Path) -> Source[Any]:
        """Open an input."""
        return open_source(self.task, path)

    def request(self, item: Any, metadata: Mapping[str, str]) -> Request:
        """Make the request for a unit."""
        request = self.task.request(item, self.options)
        return request if isinstance(request, Request) else Request(request)

    def writer(self, path: Path, metadata: Mapping[str, str]) -> _Writer:
        """Begin a file of results; without results there is none."""
        return _Writer(self.task, path, self.task.card(metadata))

    def merge(self, parts: Sequence[Path], path: Path, provenance: Json) -> None:
        """Write the results of all parts to one file."""
        writer_class(self.task, path.suffix).merge(self.task, parts, path, provenance)

    def named_options(self) -> Json:
        """Return the options by name."""
        return asdict(self.options)


class _Writer:
    def __init__(self, task: Task[Any, Any], path: Path, card: Any) -> None:
        self._task, self._path, self._card = task, path, card
        self._writer: Writer | None = None

    def add(self, name: str, item: Any, outputs: Arrays) -> None:
        result = self._task.answer(item, outputs, self._card)
        if self._writer is None:
            self._writer = open_writer(self._task, self._path, self._card)
        self._writer.add(name, item, result)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
