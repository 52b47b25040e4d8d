"""The asyncio client of a task, and the source of the blocking one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any, Generic, TypeVar

from naiad.client.aio import AsyncModelClient
from naiad.client.ordered_map import Source, ask_each_async, batches_async
from naiad.client.spec import card_of
from naiad.client.tracebacks import one_frame
from naiad.errors import NaiadError
from naiad.tasks.notebook import Results, show_by
from naiad.tasks.requests import ask, listed, request_options, without_place
from naiad.tasks.task import Task

Unit = TypeVar("Unit")
Result = TypeVar("Result")


class AsyncTaskClient(Generic[Unit, Result]):
    """Client of one model that takes units of a task and returns results; ``client.NAME``.

    Example::

        async with naiad.AsyncClient("localhost:8001") as client:
            for kind in await client.mednist.infer(["a.jpeg", "b.jpeg"]):
                print(kind.label, kind.score)
    """

    def __init__(self, model: AsyncModelClient, task: Task[Unit, Result]) -> None:
        """Ask the model that ``model`` is a client of."""
        self.model = model
        self.task = task
        self._card: Any = None

    def __repr__(self) -> str:
        """Return the task and the server."""
        return f"{type(self).__name__}({self.task.name!r}, {self.model!r})"

    @property
    async def card(self) -> Any:
        """The model card, fetched once; see `Task.card`."""
        if self._card is None:
            self._card = self.task.card(card_of(await self.model.config()))
        return self._card

    async def notice(self) -> str:
        """Return the notice of the served weights, or ""."""
        return await self.model.notice()

    async def infer(
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
            NaiadError: as for `naiad.AsyncClient`.
        """
        with one_frame:
            chosen = request_options(self.task, positional, options)
            if not self.task.listed:
                (answer,) = await self._ask([units], chosen, timeout)
                if isinstance(answer, NaiadError):
                    raise answer
                return show_by(self.task, self._card, chosen, answer, [units])
            results = Results()
            answers = self.answers(listed(self.task, units), chosen, timeout=timeout)
            async with aclosing(answers):
                async for answer in answers:
                    if isinstance(answer, NaiadError):
                        place = f"{self.task.unit}[{len(results)}]"
                        answer.args = (without_place(self.task, answer, place),)
                        raise answer
                    results.append(answer)
            return show_by(self.task, self._card, chosen, results, units)

    def infer_many(
        self,
        units: Source[Any],
        *positional: Any,
        concurrency: int | None = None,
        progress: bool = False,
        timeout: float | None = None,
        **options: Any,
    ) -> AsyncIterator[Result]:
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

        async def results() -> AsyncIterator[Result]:
            with one_frame:
                async with aclosing(answers):
                    async for answer in answers:
                        if isinstance(answer, NaiadError):
                            raise answer
                        yield answer

        return results()

    def try_many(
        self,
        units: Source[Any],
        *positional: Any,
        concurrency: int | None = None,
        progress: bool = False,
        timeout: float | None = None,
        **options: Any,
    ) -> AsyncIterator[Result | NaiadError]:
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
        units: Source[Any],
        options: Any,
        *,
        concurrency: int | None = None,
        progress: bool = False,
        timeout: float | None = None,
        request_id: str = "",
    ) -> AsyncGenerator[Result | NaiadError, None]:
        """Do as :meth:`try_many`, with an instance of the task's ``Options``.

        ``request_id`` is that of all its requests: ``naiad explain`` finds them by it.
        """
        size = self.task.group
        groups = ask_each_async(
            lambda group: self._ask(group, options, timeout, request_id),
            batches_async(units, size),
            label=self.task.unit if size == 1 else "requests",
            concurrency=concurrency or self.task.concurrency,
            progress=progress,
        )

        async def answers() -> AsyncGenerator[Result | NaiadError, None]:
            _ = await self.card  # before the requests, each of which would fetch it
            async with aclosing(groups):
                async for group in groups:
                    for answer in group:
                        yield answer

        return answers()

    async def _ask(
        self, units: Sequence[Any], options: Any, timeout: float | None, request_id: str = ""
    ) -> list[Result | NaiadError]:
        asking = ask(self.task, units, options, await self.card)
        try:
            request = next(asking)
            while True:
                try:
                    outputs = await self.model.infer(
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
