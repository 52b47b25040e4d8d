"""The blocking client of a task."""

# Made from aio.py by scripts/blocking.py: edit that.

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from typing import Any, Generic, TypeVar

from naiad.client.client import ModelClient
from naiad.client.ordered_map import ask_each, batches
from naiad.client.spec import card_of
from naiad.client.tracebacks import one_frame
from naiad.errors import NaiadError
from naiad.tasks.notebook import Results, show_by
from naiad.tasks.requests import ask, listed, request_options, without_place
from naiad.tasks.task import Task

Unit = TypeVar("Unit")
Result = TypeVar("Result")


class TaskClient(Generic[Unit, Result]):
    """Client of one model that takes units of a task and returns results; ``client.NAME``.

    Example::

        with naiad.Client("localhost:8001") as client:
            for kind in client.mednist.infer(["a.jpeg", "b.jpeg"]):
                print(kind.label, kind.score)
    """

    def __init__(self, model: ModelClient, task: Task[Unit, Result]) -> None:
        """Ask the model that ``model`` is a client of."""
        self.model = model
        self.task = task
        self._card: Any = None

    def __repr__(self) -> str:
        """Return the task and the server."""
        return f"{type(self).__name__}({self.task.name!r}, {self.model!r})"

    @property
    def card(self) -> Any:
        """The model card, fetched once; see `Task.card`."""
        if self._card is None:
            self._card = self.task.card(card_of(self.model.config()))
        return self._card

    def notice(self) -> str:
        """Return the notice of the served weights, or ""."""
        return self.model.notice()

    def infer(
        self, units: Any, *positional: Any, timeout: float | None = None, **options: Any
    ) -> Any:
        """Return the result of one unit; or a list of results, where the task is ``listed``.

        Args:
            units: a unit of the task, such as an event, or the path of a file with one; for tasks
                whose units are small, such as images, a list of them.
            positional: options in the order of ``Options``.
            timeout: seconds per request, instead of the client's.
            options: of ``Options``, by name.

        Raises:
            InvalidInput: a unit or an option is refused; says which and why.
            NaiadError: as for `naiad.Client`.
        """
        with one_frame:
            chosen = request_options(self.task, positional, options)
            if not self.task.listed:
                (answer,) = self._ask([units], chosen, timeout)
                if isinstance(answer, NaiadError):
                    raise answer
                return show_by(self.task, self._card, chosen, answer, [units])
            results = Results()
            answers = self.answers(listed(self.task, units), chosen, timeout=timeout)
            with closing(answers):
                for answer in answers:
                    if isinstance(answer, NaiadError):
                        place = f"{self.task.unit}[{len(results)}]"
                        answer.args = (without_place(self.task, answer, place),)
                        raise answer
                    results.append(answer)
            return show_by(self.task, self._card, chosen, results, units)

    def infer_many(
        self,
        units: Iterable[Any],
        *positional: Any,
        concurrency: int | None = None,
        progress: bool = False,
        timeout: float | None = None,
        **options: Any,
    ) -> Iterator[Result]:
        """Yield the result of each unit, in order; the first that fails ends them with its error.

        Args:
            units: taken as they are needed, so there may be any number of them.
            positional: options in the order of ``Options``.
            concurrency: number of requests in flight, which the server batches.
            progress: show a progress bar on standard error.
            timeout: seconds per request, instead of the client's.
            options: of ``Options``, by name.
        """
        with one_frame:
            answers = self.answers(
                units,
                request_options(self.task, positional, options),
                concurrency=concurrency,
                progress=progress,
                timeout=timeout,
            )

        def results() -> Iterator[Result]:
            with one_frame, closing(answers):
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
        """Do as :meth:`infer_many`, with the error of a unit that fails in its place."""
        with one_frame:
            return self.answers(
                units,
                request_options(self.task, positional, options),
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
        request_id: str = "",
    ) -> Generator[Result | NaiadError, None, None]:
        """Do as :meth:`try_many`, with an instance of the task's ``Options``.

        ``request_id`` is that of all its requests: ``naiad explain`` finds them by it.
        """
        size = self.task.group
        groups = ask_each(
            lambda group: self._ask(group, options, timeout, request_id),
            batches(units, size),
            label=self.task.unit if size == 1 else "requests",
            concurrency=concurrency or self.task.concurrency,
            progress=progress,
        )

        def answers() -> Generator[Result | NaiadError, None, None]:
            _ = self.card  # before the requests, each of which would fetch it
            with closing(groups):
                for group in groups:
                    yield from group

        return answers()

    def _ask(
        self, units: Sequence[Any], options: Any, timeout: float | None, request_id: str = ""
    ) -> list[Result | NaiadError]:
        asking = ask(self.task, units, options, self.card)
        try:
            request = next(asking)
            while True:
                try:
                    outputs = self.model.infer(
                        request.arrays,
                        parameters=request.parameters,
                        request_id=request_id or request.id,
                        timeout=timeout,
                    )
                except NaiadError as error:  # noqa: PERF203 - the units may be asked about alone
                    request = asking.throw(error)
                else:
                    request = asking.send(outputs)
        except StopIteration as stop:
            return stop.value
