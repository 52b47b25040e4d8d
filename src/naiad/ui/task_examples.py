"""Examples of calls of tasks, each of which the served model has answered."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Iterator
from contextlib import closing
from dataclasses import fields
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from naiad.core.fields import option_name
from naiad.core.pipeline import Request
from naiad.core.schema import Arrays
from naiad.errors import NaiadError
from naiad.tasks.calls import Answer, TaskCall
from naiad.tasks.task import Simulates
from naiad.ui.task_fields import FILES, TaskFields

Json = dict[str, Any]

_LARGEST: Final = 16_000  # bytes of files


class TaskExample:
    """An example of a task's call.

    Attributes:
        body: in JSON; None if the files would be large.
        request: the same as the model is asked it.
    """

    def __init__(self, body: Json | None, request: Arrays | Request) -> None:
        """Keep both."""
        self.body, self.request = body, request


def find_example(call: TaskCall) -> TaskExample | None:
    """Return an example that the model has just answered; None if there is none.

    Raises:
        Unavailable: the server is gone.
    """
    task: Any = call.task
    with TemporaryDirectory(prefix="naiad-example-") as folder:
        typed, options, files = _declared(call, Path(folder))
        if not typed and not files:
            return None
        try:
            made = call.options(options)
            with closing(call.ask(made, files=files, typed=typed)) as asked:
                answers: list[Answer] = list(asked)
            if not answers or any(one.error is not None for one in answers):
                return None
            unit = task.coerce(answers[0].unit(), made)
            request = task.request_for(unit, made, call.card)
        except NaiadError:
            return None
        plain = {
            one.name: list(value) if isinstance(value, tuple) else value
            for one in call.fields
            if one.name in options
            for value in [getattr(made, one.name)]
        }
        body: Json | None = {}
        if typed:
            body[TaskFields(call).typed] = list(typed)
        elif sum(path.stat().st_size for path in files) <= _LARGEST:
            body[FILES] = [
                {"name": path.name, "content": base64.b64encode(path.read_bytes()).decode()}
                for path in files
            ]
        else:
            return TaskExample(None, request)
        return TaskExample({**body, **plain}, request)


def _declared(call: TaskCall, folder: Path) -> tuple[tuple[str, ...], Json, list[Path]]:
    """Return typed units, options and files, by the task's example or its simulation."""
    task: Any = call.task
    words = shlex.split(task.example)
    end = next((n for n, word in enumerate(words) if word.startswith("--")), len(words))
    names = {option_name(one): one.name for one in fields(task.Options)}
    options = {names[flag]: value for flag, value in _pairs(words[end:]) if flag in names}
    if call.is_typed:
        return tuple(words[:end]), options, []
    if not issubclass(type(call.task), Simulates):
        return (), options, []
    path = folder / Path(task.simulated_output).name
    units = task.simulate(max(1, task.simulated_number), 0, task.SimulateOptions())
    task.save(islice(units, 1), path, lambda *_: None)
    return (), options, [*task.find(path)]


def _pairs(words: list[str]) -> Iterator[tuple[str, str]]:
    return zip(words[::2], words[1::2], strict=False)
