"""Each event of a file, or why it cannot be read."""

from __future__ import annotations

from collections.abc import Iterator

from naiad.applications.nugraph.events import Event, EventFile
from naiad.errors import NaiadError

_BLOCK = 64


def read_each(file: EventFile, numbers: range) -> Iterator[Event | Exception]:
    """Give each event, or the error in its place, one at a time."""
    for start in range(0, len(numbers), _BLOCK):
        block = numbers[start : start + _BLOCK]
        try:
            # Much faster together; one that cannot be read fails them all.
            events = list(file[block.start : block.stop : block.step])
        except (NaiadError, OSError):
            yield from (_read_one(file, number) for number in block)
        else:
            yield from events


def _read_one(file: EventFile, number: int) -> Event | Exception:
    try:
        return file[number]
    except (NaiadError, OSError) as error:
        return error
