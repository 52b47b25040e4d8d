"""The typed client of a task: units in, results out; ``client.NAME``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from naiad.client.model import ModelClient
from naiad.client.ordered_map import ask_many
from naiad.core.pipeline import Request
from naiad.errors import InvalidInput, NaiadError
from naiad.tasks.task import Task, options_of

Unit = TypeVar("Unit")
Result = TypeVar("Result")


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
        if not self.task.listed:
            return self._ask(units, chosen, timeout)
        if isinstance(units, str | bytes | Path) or not isinstance(units, Sequence):
            raise InvalidInput(
                f"{self.task.unit} is one {type(units).__name__}; give a list of {self.task.unit}"
            )
        listed = cast("Sequence[Any]", units)
        return list(self._answers(listed, chosen, self.task.concurrency, False, timeout, "raise"))

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
        chosen = self._options(positional, options)
        return cast(
            "Iterator[Result]",
            self._answers(units, chosen, concurrency, progress, timeout, "raise"),
        )

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
        chosen = self._options(positional, options)
        return self._answers(units, chosen, concurrency, progress, timeout, "return")

    def _options(self, positional: Sequence[Any], options: Mapping[str, Any]) -> Any:
        names = [field.name for field in fields(self.task.Options)]
        return options_of(
            self.task.Options, {**dict(zip(names, positional, strict=False)), **options}
        )

    def _ask(self, unit: Any, options: Any, timeout: float | None) -> Result:
        given = self.task.coerce(unit)
        request = self.task.request_for(given, options, self.card)
        whole = request if isinstance(request, Request) else Request(request)
        outputs = self.model.infer(
            whole.arrays, parameters=whole.parameters, request_id=whole.id, timeout=timeout
        )
        return self.task.answer(given, outputs, self.card)

    def _answers(
        self,
        units: Iterable[Any],
        options: Any,
        concurrency: int | None,
        progress: bool,
        timeout: float | None,
        on_error: Any,
    ) -> Iterator[Any]:
        answers = ask_many(
            lambda unit: self._ask(unit, options, timeout),
            units,
            label=self.task.unit,
            concurrency=concurrency or self.task.concurrency,
            progress=progress,
            on_error=on_error,
        )

        def results() -> Iterator[Any]:
            _ = self.card  # before the threads, each of which would ask for it
            yield from answers

        return results()
