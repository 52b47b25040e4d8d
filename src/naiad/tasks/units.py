"""Units as they are read from inputs: each with its places, or with the error instead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, cast

from naiad.errors import InvalidInput, NaiadError
from naiad.tasks.sources import Input
from naiad.tasks.task import Joins, Source, Task


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit, or a part of one.

    Attributes:
        places: the input of each part, and its index there.
        name: its file, its name in one, or its text; of several parts, all of theirs.
        value: the unit itself; None after an error.
        error: why it could not be read.
        count: units or parts in its input.
    """

    places: Sequence[tuple[Input, int]]
    name: str
    value: Any = None
    error: NaiadError | None = None
    count: int = 1

    @property
    def given(self) -> Input:
        """Its input, or that of its first part."""
        return self.places[0][0]

    @property
    def path(self) -> Path:
        """The path of that input."""
        return self.given.path

    @property
    def number(self) -> int:
        """Its index in that input."""
        return self.places[0][1]


def unread(given: Input, error: NaiadError) -> Unit:
    """Return the unit in place of an input that cannot be opened."""
    return Unit([(given, 0)], str(given.path), error=error)


def read_parts(given: Input, source: Source[Any], numbers: range) -> Iterator[Unit]:
    """Yield what an open input has at some indices."""
    count = len(source)
    for number, (name, value) in zip(numbers, source.read(numbers), strict=True):
        place = [(given, number)]
        if isinstance(value, Exception):
            error = value if isinstance(value, NaiadError) else InvalidInput(str(value))
            yield Unit(place, name, error=error, count=count)
        else:
            yield Unit(place, name, value, count=count)


def joined(task: Task[Any, Any], parts: Iterator[Unit], size: int) -> Iterator[Unit]:
    """Yield units of ``size`` parts each; one with a part that has an error is that part."""
    while group := list(islice(parts, size)):
        if wrong := next((part for part in group if part.error is not None), None):
            yield wrong
        elif len(group) < size:
            unit = task.unit.removesuffix("s")
            error = InvalidInput(f"{len(group)} of the {size} files that make one {unit}")
            yield Unit(group[0].places, group[0].name, error=error)
        elif size == 1:
            yield group[0]
        else:
            places = [place for part in group for place in part.places]
            try:
                value = cast("Joins[Any]", task).join([part.value for part in group])
            except NaiadError as error:
                yield Unit(places, _name_of(group), error=error)
            else:
                yield Unit(places, _name_of(group), value)


def _name_of(group: Sequence[Unit]) -> str:
    """Return the names of a unit's parts; of all units of one input, its path."""
    paths = {part.path for part in group}
    if len(paths) == 1 < len(group) and group[0].count == len(group):
        return str(paths.pop())
    return ", ".join(part.name for part in group)
