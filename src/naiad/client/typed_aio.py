"""The asyncio clients of applications, and the source of the blocking ones."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Concatenate, Generic, TypeVar

from naiad.client.aio import AsyncModelClient
from naiad.client.ordered_map import Source, ask_each_async, try_each_async
from naiad.client.tracebacks import one_frame
from naiad.client.transport import Arrays
from naiad.errors import NaiadError

if TYPE_CHECKING:  # a client that makes no such requests need not load it
    from naiad.core.pipeline import Request

Unit = TypeVar("Unit")
Result = TypeVar("Result")


class AsyncTypedClient(Generic[Unit, Result]):
    """Client of one model that takes units of an application and gives results, not arrays.

    A unit is an event, an image, a text or whatever one request is made of. ``ask`` makes the
    request of a unit, of the model card and of the options that `infer` was called with; ``answer``
    makes the result of the unit, the outputs and the card.

    Example::

        def ask(image, card, *, top=1):
            return naiad.Request({"image": np.array([image]), "top": np.array([top])})

        def answer(image, outputs, card):
            return outputs["label"][0].decode()

        model = AsyncTypedClient(client.model("classifier"), ask, answer)
        label = await model.infer(image, top=3)
    """

    def __init__(
        self,
        model: AsyncModelClient,
        ask: Callable[Concatenate[Unit, Mapping[str, str], ...], Request],
        answer: Callable[[Unit, Arrays, Mapping[str, str]], Result],
    ) -> None:
        """Ask the model that ``model`` is a client of."""
        self.model = model
        self._ask = ask
        self._answer = answer

    def __repr__(self) -> str:
        """Return the class, the model and the server."""
        return f"{type(self).__name__}({self.model!r})"

    async def card(self) -> Mapping[str, str]:
        """Return the model card: the parameters in the model's configuration, by name."""
        with one_frame:
            return await self.model.card()

    async def notice(self) -> str:
        """Return what every user must know of the served weights, or ""."""
        with one_frame:
            return (await self.model.card()).get("notice", "")

    async def infer(self, unit: Unit, *, timeout: float | None = None, **options: Any) -> Result:
        """Return the result of one unit.

        Args:
            unit: what the request is made of.
            timeout: seconds, instead of the client's.
            **options: of the application.

        Raises:
            InvalidInput: the unit cannot be asked about; says why.
            NaiadError: as of `naiad.AsyncClient`.
        """
        with one_frame:
            card = await self.model.card()
            request = self._ask(unit, card, **options)
            outputs = await self.model.infer(
                request.arrays,
                parameters=request.parameters,
                request_id=request.id,
                timeout=timeout,
            )
            return self._answer(unit, outputs, card)

    def infer_many(
        self,
        units: Source[Unit],
        *,
        concurrency: int = 8,
        progress: bool = False,
        timeout: float | None = None,
        **options: Any,
    ) -> AsyncIterator[Result]:
        """Yield the result of each unit, in order, several under way at once.

        Units are taken as they are needed, so there may be any number of them. The first that fails
        ends the results with its error; :meth:`try_many` goes on.

        Args:
            units: one per request.
            concurrency: how many are under way at once.
            progress: show a progress bar on standard error.
            timeout: seconds per unit, instead of the client's.
            **options: as of :meth:`infer`, the same for all.
        """
        with one_frame:
            return ask_each_async(
                partial(self.infer, timeout=timeout, **options),
                units,
                label=self.model.name,
                concurrency=concurrency,
                progress=progress,
            )

    def try_many(
        self,
        units: Source[Unit],
        *,
        concurrency: int = 8,
        progress: bool = False,
        timeout: float | None = None,
        **options: Any,
    ) -> AsyncIterator[Result | NaiadError]:
        """Do as :meth:`infer_many`, with the error of a unit that fails in its place."""
        with one_frame:
            return try_each_async(
                partial(self.infer, timeout=timeout, **options),
                units,
                label=self.model.name,
                concurrency=concurrency,
                progress=progress,
            )
