"""The typed client of a task: units in, results out; ``client.NAME``."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import fields
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Final, Generic, TypeVar, cast

import numpy as np

from naiad.client.client import ModelClient
from naiad.client.ordered_map import ask_each
from naiad.core.pipeline import Request
from naiad.core.schema import Array, Arrays
from naiad.errors import DeadlineExceeded, InvalidInput, NaiadError, Unavailable
from naiad.tasks.task import Joins, Task, options_of

Unit = TypeVar("Unit")
Result = TypeVar("Result")


_MOST_TOGETHER: Final = 4 << 20  # bytes of a group; larger units gain nothing from sharing


class TaskClient(Generic[Unit, Result]):
    """Asks the model of a task; options are those of its ``Options``.

    Example::

        with naiad.Client("localhost:8001") as client:
            for kind in client.mednist.infer(["a.jpeg", "b.jpeg"]):
                print(kind.label, kind.score)
    """

    def __init__(self, model: ModelClient, task: Task[Unit, Result]) -> None:
        """Ask the model that ``model`` is a client of."""
        self.model = model
        self.task = task

    def __repr__(self) -> str:
        """Return the task and the server."""
        return f"{type(self).__name__}({self.task.name!r}, {self.model!r})"

    @cached_property
    def card(self) -> Any:
        """The model's card, which the server is asked for once."""
        parameters = cast("Mapping[str, Any]", self.model.config().get("parameters", {}))
        return self.task.card(
            {name: str(value.get("string_value", "")) for name, value in parameters.items()}
        )

    def notice(self) -> str:
        """Return the notice of the served weights, or ""."""
        return self.model.notice()

    def infer(
        self, units: Any, *positional: Any, timeout: float | None = None, **options: Any
    ) -> Any:
        """Ask about one unit; or about a list of units, where the task takes lists.

        Args:
            units: a unit of the task, such as an event, or the path of a file with one; for tasks
                whose units are small, such as images, a list of them.
            positional: options in the order of ``Options``.
            timeout: seconds per request, instead of the client's.
            options: of ``Options``, by name.

        Returns:
            The result, or a list of results.

        Raises:
            InvalidInput: a unit or an option is refused; says which and why.
            NaiadError: as of `naiad.Client`.
        """
        chosen = self._options(positional, options)
        task = self.task
        if not task.listed:
            (answer,) = self._ask([units], chosen, timeout)
            if isinstance(answer, NaiadError):
                raise answer
            return answer
        if isinstance(units, str | bytes | Path) or not isinstance(units, Sequence):
            raise InvalidInput(
                f"{task.unit} is one {type(units).__name__}; give a list of {task.unit}"
            )
        listed = cast("Sequence[Any]", units)
        results: list[Any] = []
        with closing(self.answers(listed, chosen, timeout=timeout)) as answers:
            for answer in answers:
                if isinstance(answer, NaiadError):
                    answer.args = (without_place(task, answer, f"{task.unit}[{len(results)}]"),)
                    raise answer
                results.append(answer)
        return results

    def infer_many(
        self,
        units: Iterable[Any],
        *positional: Any,
        concurrency: int | None = None,
        progress: bool = False,
        timeout: float | None = None,
        **options: Any,
    ) -> Iterator[Result]:
        """Ask about many units; yields results in order, as they come, and raises at a failure.

        Args:
            units: taken as they are needed, so there may be any number of them.
            positional: options in the order of ``Options``.
            concurrency: requests with the server at once, which batches them.
            progress: show a progress bar on standard error.
            timeout: seconds per request, instead of the client's.
            options: of ``Options``, by name.
        """
        answers = self.answers(
            units,
            self._options(positional, options),
            concurrency=concurrency,
            progress=progress,
            timeout=timeout,
        )

        def results() -> Iterator[Result]:
            with closing(answers):
                for answer in answers:
                    if isinstance(answer, NaiadError):
                        raise answer
                    yield answer

        return results()

    def try_many(
        self,
        units: Iterable[Any],
        *positional: Any,
        concurrency: int | None = None,
        progress: bool = False,
        timeout: float | None = None,
        **options: Any,
    ) -> Iterator[Result | NaiadError]:
        """Do as :meth:`infer_many`, yielding an error in the place of each unit that fails."""
        return self.answers(
            units,
            self._options(positional, options),
            concurrency=concurrency,
            progress=progress,
            timeout=timeout,
        )

    def answers(
        self,
        units: Iterable[Any],
        options: Any,
        *,
        concurrency: int | None = None,
        progress: bool = False,
        timeout: float | None = None,
    ) -> Generator[Result | NaiadError, None, None]:
        """Do as :meth:`try_many`, with an instance of the task's ``Options``."""
        size = self.task.group
        groups = ask_each(
            lambda group: self._ask(group, options, timeout),
            batches(units, size),
            label=self.task.unit if size == 1 else "requests",
            concurrency=concurrency or self.task.concurrency,
            progress=progress,
        )

        def answers() -> Generator[Result | NaiadError, None, None]:
            _ = self.card  # before the threads, each of which would ask for it
            for group in groups:
                yield from group

        return answers()

    def _options(self, positional: Sequence[Any], options: Mapping[str, Any]) -> Any:
        names = [f.name for f in fields(self.task.Options) if not f.metadata.get("display")]
        if len(positional) > len(names):
            raise InvalidInput(
                f"{len(positional)} options without names; there are {len(names)}: "
                f"{', '.join(names) or 'none'}"
            )
        return options_of(
            self.task.Options, {**dict(zip(names, positional, strict=False)), **options}
        )

    def _ask(
        self, units: Sequence[Any], options: Any, timeout: float | None
    ) -> list[Result | NaiadError]:
        """Ask about some units in one request; an error is in the place of each that fails."""
        answers: list[Any] = []
        asked: list[tuple[Unit, Request]] = []
        for given in units:
            try:
                unit = self.task.coerce(given, options)
                request = self.task.request_for(unit, options, self.card)
            except NaiadError as error:  # noqa: PERF203
                answers.append(error)
            else:
                asked.append((unit, request if isinstance(request, Request) else Request(request)))
                answers.append(None)
        found = iter(self._send(asked, timeout) if asked else ())
        return [next(found) if answer is None else answer for answer in answers]

    def _send(
        self, asked: Sequence[tuple[Unit, Request]], timeout: float | None
    ) -> list[Result | NaiadError]:
        first, size = asked[0][1], len(asked)
        arrays = dict(first.arrays)
        if size > 1:
            for name in self.task.grouped:
                arrays[name] = np.concatenate([request[name] for _, request in asked])
            if sum(map(_bytes, arrays.values())) > _MOST_TOGETHER:
                return [self._send([one], timeout)[0] for one in asked]
        try:
            outputs = self.model.infer(
                arrays, parameters=first.parameters, request_id=first.id, timeout=timeout
            )
            return [
                self.task.answer(unit, _row(outputs, number) if size > 1 else outputs, self.card)
                for number, (unit, _) in enumerate(asked)
            ]
        except (Unavailable, DeadlineExceeded) as error:
            return [error] * size
        except NaiadError as error:
            # Whichever unit is to blame, the others are not.
            return [error] if size == 1 else [self._send([one], timeout)[0] for one in asked]


def without_place(task: Task[Any, Any], error: Exception, place: str) -> str:
    """Return an error about one unit with ``place`` for the tensor and its row in the request.

    Those mean nothing to whoever gave a list of units, or a file that is one.
    """
    names = "|".join(task.grouped) or r"\w+"
    pattern = rf"^(?:{names})\[0(?:, \d+)*\]"
    one = task.listed or isinstance(task, Joins)
    return re.sub(pattern, lambda _: place, str(error)) if one else str(error)


def batches(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Yield lists of ``size`` items, of which the last may have fewer."""
    left = iter(items)
    while group := list(islice(left, size)):
        yield group


def _bytes(array: Array) -> int:
    return sum(map(len, array.ravel())) if array.dtype == object else array.nbytes


def _row(outputs: Arrays, number: int) -> Arrays:
    return {name: array[number : number + 1] for name, array in outputs.items()}
