"""Inputs of a task: units in files or typed, with their names and positions."""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from naiad.errors import InvalidInput, NaiadError
from naiad.tasks.task import Opens, Parses, Source, Task

STDIN: Final = Path("-")


class Files:
    """A `Source` of files that are one unit each."""

    def __init__(self, task: Task[Any, Any], paths: Sequence[Path]) -> None:
        """Read nothing yet."""
        self._task, self._paths = task, paths

    def __len__(self) -> int:
        """Return the number of files."""
        return len(self._paths)

    def read(self, numbers: range) -> Iterator[tuple[str, Any]]:
        """Yield each unit with its file as name."""
        for number in numbers:
            path = self._paths[number]
            try:
                yield str(path), self._task.read(path)
            except NaiadError as error:
                yield str(path), error

    def close(self) -> None:
        """Do nothing: files are not kept open."""


class Typed:
    """A `Source` of units that were typed, or lines of a file."""

    def __init__(self, task: Parses[Any], texts: Sequence[str]) -> None:
        """Parse nothing yet."""
        self._task, self._texts = task, texts

    def __len__(self) -> int:
        """Return the number of texts."""
        return len(self._texts)

    def read(self, numbers: range) -> Iterator[tuple[str, Any]]:
        """Yield each unit with its text as name."""
        for number in numbers:
            text = self._texts[number]
            try:
                yield text, self._task.parse(text)
            except NaiadError as error:
                yield text, error

    def close(self) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class Input:
    """An input given by a user.

    Attributes:
        path: of the file or folder; ``-`` for units that were typed.
        name: of its results, relative to the folder that was given: ``run1/a.h5``.
        typed: units that were typed.
        opener: opens it, if it is no file: a study in an archive.
    """

    path: Path
    name: Path
    typed: tuple[str, ...] = ()
    opener: Callable[[], Source[Any]] | None = field(default=None, compare=False)


def open_source(task: Task[Any, Any], path: Path) -> Source[Any]:
    """Open an input of a task.

    Raises:
        InvalidInput: it cannot be read.
    """
    if isinstance(task, Opens):
        return task.open(path)
    if isinstance(task, Parses):
        table = None if path == STDIN else task.open_table(path)
        return Typed(task, read_lines(path)) if table is None else table
    return Files(task, [path])


def open_input(task: Task[Any, Any], given: Input) -> Source[Any]:
    """Open an input, whether a file or typed.

    Raises:
        InvalidInput: it cannot be read.
    """
    if given.opener is not None:
        return given.opener()
    if given.typed:
        assert isinstance(task, Parses)
        return Typed(task, given.typed)
    return open_source(task, given.path)


def find_inputs(task: Task[Any, Any], paths: Sequence[Path]) -> list[Input]:
    """Return the inputs at a user's paths, in order, each once.

    A missing file is reported when it is opened.

    Raises:
        InvalidInput: a folder has no input.
    """
    inputs: dict[Path, Input] = {}
    for given in paths:
        for found in [given] if given == STDIN else task.find(given):
            name = Path(_absolute(found).name) if found == given else found.relative_to(given)
            inputs.setdefault(_absolute(found), Input(found, name))
    return _told_apart(inputs)


def read_units(task: Task[Any, Any], path: Path) -> Iterator[Any]:
    """Yield each unit at a user's path.

    Raises:
        InvalidInput: one cannot be read.
    """
    for given in find_inputs(task, [path]):
        with closing(open_input(task, given)) as source:
            for _, unit in source.read(range(len(source))):
                if isinstance(unit, Exception):
                    raise unit
                yield unit


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file that are not blank; ``-`` is standard input.

    Raises:
        InvalidInput: it cannot be read, or is not UTF-8.
    """
    try:
        data = sys.stdin.buffer.read() if path == STDIN else path.read_bytes()
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is not UTF-8: {error}") from None
    # Not splitlines(), which also splits at characters that texts may contain, such as U+2028.
    return [line.strip() for line in re.split("\r\n?|\n", text) if line.strip()]


def _told_apart(inputs: Mapping[Path, Input]) -> list[Input]:
    """Return the inputs, with equal names made relative to their common folder."""
    counts = Counter(given.name for given in inputs.values())
    alike = [path for path, given in inputs.items() if counts[given.name] > 1]
    above = os.path.commonpath([path.parent for path in alike]) if alike else ""
    return [
        Input(given.path, path.relative_to(above)) if counts[given.name] > 1 else given
        for path, given in inputs.items()
    ]


def _absolute(path: Path) -> Path:
    """Return the absolute path of a file; a link keeps its name."""
    return path.parent.resolve() / path.name if path.name.strip(".") else path.resolve()
