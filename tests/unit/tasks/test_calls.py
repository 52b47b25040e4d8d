"""Calls of tasks with plain values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from naiad.client import Client
from naiad.core.schema import Arrays
from naiad.tasks.calls import TaskCall
from naiad.tasks.task import Parses, Task


class Notes(Task[str, str], Parses[str]):
    """Texts, in files or typed."""

    name, pipeline, unit = "notes", "notes:Notes", "notes"

    def parse(self, text: str) -> str:
        return text

    def request(self, unit: str, options: Any) -> Arrays:
        return {}

    def answer(self, unit: str, outputs: Arrays, card: Any) -> str:
        return unit

    def rows(self, result: str) -> Iterator[Sequence[object]]:
        yield (result,)


class Filed(Notes):
    """A text that is typed is the path of a file: `Task.coerce` reads it."""

    suffixes = (".txt",)


class Whole(Filed):
    """The same, with texts that are never paths."""

    def coerce(self, unit: Any, options: Any) -> str:
        return unit.read_text() if isinstance(unit, Path) else str(unit)


def test_what_is_typed_is_never_read_as_a_file() -> None:
    with Client("localhost:1") as client:  # never asked
        typed = [TaskCall(client, kind, "notes").is_typed for kind in (Notes, Filed, Whole)]
    assert typed == [True, False, True]
