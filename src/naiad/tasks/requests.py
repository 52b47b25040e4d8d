"""Requests for the units of a task: made, shared by small units, and their answers taken apart.

`ask` is a generator, as the operations of a client are: it yields a `Request`, is sent its outputs
(or has the error thrown in), and returns the answers. The blocking client and the asyncio client
run the same one.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Final, TypeAlias, cast

import numpy as np

from naiad.core.pipeline import Request
from naiad.core.schema import Array, Arrays
from naiad.errors import DeadlineExceeded, InvalidInput, NaiadError, PipelineError, Unavailable
from naiad.tasks.notebook import show_by
from naiad.tasks.task import Joins, Task, options_of

_MOST_TOGETHER: Final = 4 << 20  # bytes of a request; larger units gain nothing from sharing one

Asking: TypeAlias = Generator[Request, Arrays, list[Any]]
"""Yields requests, is sent outputs, returns a result or a `NaiadError` for each unit."""


def ask(task: Task[Any, Any], units: Sequence[Any], options: Any, card: Any) -> Asking:
    """Ask about some units in one request; each that fails has its error in its place."""
    answers: list[Any] = []
    asked: list[tuple[Any, Request]] = []
    for given in units:
        try:
            unit = task.coerce(given, options)
            request = task.request_for(unit, options, card)
        except NaiadError as error:  # noqa: PERF203
            answers.append(error)
        else:
            asked.append((unit, request if isinstance(request, Request) else Request(request)))
            answers.append(None)
    found = iter((yield from _send(task, asked, options, card)) if asked else ())
    return [next(found) if answer is None else answer for answer in answers]


def _send(
    task: Task[Any, Any], asked: Sequence[tuple[Any, Request]], options: Any, card: Any
) -> Asking:
    request, size = asked[0][1], len(asked)
    if size > 1:
        shared = {name: np.concatenate([one[name] for _, one in asked]) for name in task.grouped}
        request = replace(request, arrays={**request.arrays, **shared})
    if size == 1 or sum(map(_bytes, request.arrays.values())) <= _MOST_TOGETHER:
        try:
            outputs = yield request
            answers = [
                answer_of(task, unit, _row(outputs, number) if size > 1 else outputs, card)
                for number, (unit, _) in enumerate(asked)
            ]
            return [show_by(task, card, options, answer) for answer in answers]
        except (Unavailable, DeadlineExceeded) as error:
            return [error] * size
        except NaiadError as error:
            if size == 1:
                return [error]
            # Whichever unit is to blame, the others are not: ask about each alone.
    answers = list[Any]()
    for one in asked:
        answers += yield from _send(task, [one], options, card)
    return answers


def answer_of(task: Task[Any, Any], unit: Any, outputs: Arrays, card: Any) -> Any:
    """Return the task's answer.

    Raises:
        PipelineError: as `Task.answer`; or the model lacks an output that the task needs.
    """
    try:
        return task.answer(unit, outputs, card)
    except KeyError as error:
        if (name := error.args[0]) in outputs:
            raise
        raise PipelineError(
            f"the model has no output {name}, which {task.name} needs; it has "
            f"{', '.join(outputs)}: it is not Naiad's {task.name}, so call it with naiad.Client"
        ) from None


def _bytes(array: Array) -> int:
    return sum(map(len, array.ravel())) if array.dtype == object else array.nbytes


def _row(outputs: Arrays, number: int) -> Arrays:
    return {name: array[number : number + 1] for name, array in outputs.items()}


def request_options(
    task: Task[Any, Any], positional: Sequence[Any], named: Mapping[str, Any]
) -> Any:
    """Return the ``Options`` of a task, given by position and by name.

    Raises:
        InvalidInput: there are too many, or one is unknown; names the known ones.
    """
    names = [f.name for f in fields(task.Options) if not f.metadata.get("display")]
    if len(positional) > len(names):
        raise InvalidInput(
            f"{len(positional)} options are given by position; there are {len(names)}: "
            f"{', '.join(names) or 'none'}"
        )
    return options_of(task.Options, {**dict(zip(names, positional, strict=False)), **named})


def listed(task: Task[Any, Any], units: Any) -> Sequence[Any]:
    """Return ``units``, which must be a list of them.

    Raises:
        InvalidInput: it is one unit.
    """
    if isinstance(units, str | bytes | Path) or not isinstance(units, Sequence):
        raise InvalidInput(f"{task.unit} is one {type(units).__name__}; give a list of {task.unit}")
    return cast("Sequence[Any]", units)


def without_place(task: Task[Any, Any], error: Exception, place: str) -> str:
    """Return an error about one unit with ``place`` for the tensor and its row in the request.

    A user who gave a list of units, or a file with one, knows neither.
    """
    names = "|".join(task.grouped) or r"\w+"
    pattern = rf"^(?:{names})\[0(?:, \d+)*\]"
    one = task.listed or isinstance(task, Joins)
    return re.sub(pattern, lambda _: place, str(error)) if one else str(error)
