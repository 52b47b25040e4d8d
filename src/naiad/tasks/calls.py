"""Calls of a task with plain values: what a page, JSON over HTTP and an agent's tool share.

A :class:`TaskCall` reads units from files or typed text, asks a server about them, and gives each
answer as rows of plain values, with the picture and the files that the task makes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np

from naiad.client import Client
from naiad.errors import InvalidInput, NaiadError
from naiad.hdf5_references import refuse_references
from naiad.tasks.client import TaskClient
from naiad.tasks.option_fields import OptionField, option_fields, read_options
from naiad.tasks.requests import without_place
from naiad.tasks.sources import Input, find_inputs, open_input
from naiad.tasks.tables import block_of, rows_of
from naiad.tasks.task import Column, Draws, Joins, Json, Opens, Parses, Source, Task, WritesFiles
from naiad.tasks.units import Unit, joined, read_parts, unread

_TYPED: Final = Path("-")


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer about one unit, or the error in its place; a `naiad.tasks.task.Found`.

    Attributes:
        name: of the unit: its file, its name in one, or its text.
        path: of its input; ``-`` for a typed unit.
        number: index of the unit in its input.
        result: of the task; None after an error.
        error: why there is none.
    """

    name: str
    path: Path
    number: int
    result: Any = None
    error: NaiadError | None = None
    _unit: Any = field(default=None, repr=False)

    def unit(self) -> Any:
        """Return the unit."""
        return self._unit


class TaskCall:
    """A task, and a model on a server that it asks."""

    def __init__(self, client: Client, kind: type[Task[Any, Any]], model: str = "") -> None:
        """Ask ``model``, by default the task's own, through ``client``."""
        self.client, self.task = client, kind()
        self.model = model or kind.model_on(client)

    @cached_property
    def asked(self) -> TaskClient[Any, Any]:
        """The task's typed client."""
        return self.task.client_of(self.client.model(self.model))

    @property
    def card(self) -> Any:
        """The model card."""
        return self.asked.card

    @property
    def notice(self) -> str:
        """The notice of the served weights, or ""."""
        return self.asked.notice()

    @property
    def fields(self) -> tuple[OptionField, ...]:
        """The options of a call."""
        return option_fields(self.task.Options)

    @property
    def is_typed(self) -> bool:
        """Whether units are typed, such as texts; else they are in files.

        Not where `Task.coerce` would take what is typed for the path of a file.
        """
        kind = type(self.task)
        return issubclass(kind, Parses) and not (kind.suffixes and kind.coerce is Task.coerce)

    @property
    def has_many(self) -> bool:
        """Whether a file holds many units, such as events."""
        return isinstance(self.task, Opens)

    def options(self, given: Mapping[str, Any]) -> Any:
        """Return the task's options from plain values.

        Raises:
            InvalidInput: one is unknown, missing or not allowed.
        """
        return read_options(self.task.Options, given)

    def columns(self, options: Any) -> tuple[Column, ...]:
        """Return the columns of the rows."""
        return self.task.columns_of(self.card, options)

    def ask(
        self,
        options: Any,
        *,
        files: Sequence[Path] = (),
        typed: Sequence[str] = (),
        chosen: slice = slice(None),
        request_id: str = "",
    ) -> Generator[Answer]:
        """Yield an answer for each unit, in order, with errors in their places.

        The files may be a stranger's: those that name further files are refused.

        Args:
            options: from :meth:`options`.
            files: with units; a folder stands for the files in it.
            typed: units as a person types them.
            chosen: units of each file.
            request_id: of all requests, by which ``naiad explain`` finds them.

        Raises:
            InvalidInput: there is no unit.
            Unavailable: the server is gone.
        """
        inputs = find_inputs(self.task, files)
        if typed:
            if not self.is_typed:
                raise InvalidInput(f"{self.task.name} takes files of {self.task.unit}")
            inputs.insert(0, Input(_TYPED, Path("typed"), tuple(typed)))
        if not inputs:
            raise InvalidInput(f"nothing to ask about; give {self.task.unit}")
        parts = self.task.parts(self.card) if isinstance(self.task, Joins) else ("",)
        waiting: deque[Answer] = deque()
        units = _good(joined(self.task, self._read(inputs, chosen), len(parts)), waiting)
        asked = self.asked.answers(units, options, timeout=self.task.timeout, request_id=request_id)
        with closing(asked) as answers:
            for answer in answers:
                while waiting[0].error is not None:
                    yield waiting.popleft()
                failed = isinstance(answer, NaiadError)
                outcome = {"error" if failed else "result": answer}
                yield replace(waiting.popleft(), **outcome)
            yield from waiting

    def rows(self, answer: Answer, options: Any) -> list[Json]:
        """Return the rows of an answer, by column; values are plain, None where there is none."""
        if answer.error is not None:
            return []
        columns = self.columns(options)
        block, size = block_of(
            columns, self.task.rows(answer.result), answer.name, max(answer.number, 0)
        )
        names = [column.name for column in columns]
        return [dict(zip(names, row, strict=True)) for row in rows_of(columns, block, size)]

    def message(self, answer: Answer) -> str:
        """Return the message of an error as its user understands it, without the unit's name."""
        assert answer.error is not None
        said = without_place(self.task, answer.error, "")
        return said.removeprefix(answer.name).lstrip(": ")

    def picture(self, answers: Sequence[Answer], suffix: str = ".png") -> bytes | None:
        """Return one picture of the answers; None if the task draws none, or of nothing.

        Raises:
            MissingExtra: a package for pictures is missing.
        """
        drawn = [answer for answer in answers if answer.error is None]
        if not isinstance(self.task, Draws) or not drawn:
            return None
        with TemporaryDirectory() as folder:
            path = Path(folder) / f"picture{suffix}"
            most = self.task.most
            self.task.draw(drawn[:most], path, self.card, self.task.DrawOptions())
            return path.read_bytes() if path.exists() else None

    def files(self, answer: Answer, options: Any) -> list[tuple[str, bytes]]:
        """Return the files of an answer, such as a label map: a suffix, and the content."""
        if answer.error is not None or not isinstance(self.task, WritesFiles):
            return []
        return [*self.task.files(answer.unit(), answer.result, options)]

    def _read(self, inputs: Sequence[Input], chosen: slice) -> Iterator[Unit]:
        for given in inputs:
            try:
                refuse_references(given.path)
                source: Source[Any] = open_input(self.task, given)
            except NaiadError as error:
                yield unread(given, error)
                continue
            with closing(source):
                yield from read_parts(given, source, range(len(source))[chosen])


def _good(units: Iterator[Unit], waiting: deque[Answer]) -> Iterator[Any]:
    """Yield the units that were read; all that were, or failed, are put into ``waiting``."""
    for unit in units:
        answer = Answer(unit.name, unit.path, unit.number, error=unit.error, _unit=unit.value)
        waiting.append(answer)
        if unit.error is None:
            yield unit.value


def plain(value: Any) -> Any:
    """Return a value of a row as JSON has it: numbers that are not finite become None."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
