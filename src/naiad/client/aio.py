"""The asyncio client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import Literal, TypeVar, overload

from numpy.typing import ArrayLike
from tenacity import AsyncRetrying

from naiad.client.access import Access
from naiad.client.address import Address
from naiad.client.base import ClientBase, connect
from naiad.client.deadline import Deadline
from naiad.client.model import AsyncModelClient, Requests
from naiad.client.operations import Operation
from naiad.client.ordered_map import check_concurrency, in_order_async
from naiad.client.progress import progress_bar
from naiad.client.retry import policy
from naiad.client.transport import Arrays, AsyncTransport, Call, Json, ModelInfo, Parameter, Tls
from naiad.errors import NaiadError

T = TypeVar("T")


class AsyncClient(ClientBase[AsyncTransport]):
    """Asks a Triton server from one asyncio event loop: that of its first call.

    Example::

        async with naiad.AsyncClient("localhost:8001") as client:
            answer = await client.infer("simple", INPUT0=a, INPUT1=b)
            async for answer in client.infer_many("simple", requests, concurrency=32):
                ...

    Arguments, conversions, retries and errors are those of `naiad.Client`. ``client.NAME`` is
    always an `AsyncModelClient`.
    """

    def __init__(
        self,
        url: str | Sequence[str] = "localhost:8001",
        *,
        timeout: float = 60.0,
        retries: int | None = None,
        headers: Mapping[str, str] | None = None,
        api_key: str | None = None,
        ca: str | Path | None = None,
        certificate: str | Path | None = None,
        private_key: str | Path | None = None,
    ) -> None:
        """Prepare to talk to the server or servers at ``url``; arguments as for `naiad.Client`."""
        access = Access(
            headers=headers or {},
            api_key=api_key,
            ca=ca,
            certificate=certificate,
            private_key=private_key,
        )
        super().__init__(connect(url, open_transport, access), timeout, retries)

    async def infer(
        self,
        model: str,
        arrays: Mapping[str, ArrayLike] | None = None,
        /,
        *,
        outputs: Sequence[str] | None = None,
        parameters: Mapping[str, Parameter] | None = None,
        request_id: str = "",
        timeout: float | None = None,
        version: int | None = None,
        **tensors: ArrayLike,
    ) -> Arrays:
        """Return the model's outputs by name; see `naiad.Client.infer`."""
        steps = self._infer(
            model, arrays, tensors, outputs, parameters, request_id, timeout, version
        )
        return await self._run(steps, timeout)

    @overload
    def infer_many(
        self,
        model: str,
        requests: Requests,
        *,
        outputs: Sequence[str] | None = None,
        parameters: Mapping[str, Parameter] | None = None,
        timeout: float | None = None,
        version: int | None = None,
        concurrency: int = 8,
        progress: bool = False,
        on_error: Literal["raise"] = "raise",
    ) -> AsyncIterator[Arrays]: ...

    @overload
    def infer_many(
        self,
        model: str,
        requests: Requests,
        *,
        outputs: Sequence[str] | None = None,
        parameters: Mapping[str, Parameter] | None = None,
        timeout: float | None = None,
        version: int | None = None,
        concurrency: int = 8,
        progress: bool = False,
        on_error: Literal["return"],
    ) -> AsyncIterator[Arrays | NaiadError]: ...

    def infer_many(
        self,
        model: str,
        requests: Requests,
        *,
        outputs: Sequence[str] | None = None,
        parameters: Mapping[str, Parameter] | None = None,
        timeout: float | None = None,
        version: int | None = None,
        concurrency: int = 8,
        progress: bool = False,
        on_error: Literal["raise", "return"] = "raise",
    ) -> AsyncIterator[Arrays | NaiadError]:
        """Yield the answer to each of ``requests``, in order; see `naiad.Client.infer_many`.

        ``requests`` may be asynchronous too. When the consumer stops, requests under way are
        cancelled.
        """

        async def work(arrays: Mapping[str, ArrayLike]) -> Arrays | NaiadError:
            try:
                return await self.infer(
                    model,
                    arrays,
                    outputs=outputs,
                    parameters=parameters,
                    timeout=timeout,
                    version=version,
                )
            except NaiadError as error:
                if on_error == "raise":
                    raise
                return error

        async def answers() -> AsyncIterator[Arrays | NaiadError]:
            ordered = in_order_async(work, requests, concurrency)
            with progress_bar(progress, model, requests) as advance:
                async with aclosing(ordered):
                    async for answer in ordered:
                        advance()
                        yield answer

        check_concurrency(concurrency)
        return answers()

    async def ready(self, model: str | None = None, *, timeout: float | None = None) -> bool:
        """Return whether the server (or one model) says it is ready; False if it cannot be asked.

        Asked once, without retries; of several servers one must be.
        """
        return await self._run(self._ready(model), timeout, once=True)

    async def models(self) -> tuple[ModelInfo, ...]:
        """Return the models of the server's repository, loaded or not."""
        return await self._run(self._models())

    async def load(self, model: str, *, timeout: float | None = None) -> None:
        """Load a model, or load it anew; see `naiad.Client.load`."""
        await self._run(self._load(model), timeout)

    async def unload(self, model: str, *, timeout: float | None = None) -> None:
        """Begin to unload a model; see `naiad.Client.unload`."""
        await self._run(self._unload(model), timeout)

    async def metadata(self, model: str | None = None) -> Json:
        """Return the metadata of a model, or the name, version and extensions of the server."""
        return await self._run(self._metadata(model))

    async def config(self, model: str) -> Json:
        """Return a model's configuration, in the JSON form of Triton's ``ModelConfig``."""
        return await self._run(self._config(model))

    async def statistics(self, model: str | None = None) -> Json:
        """Return Triton's statistics of one model or of all, in ``["model_stats"]``."""
        return await self._run(self._statistics(model))

    def model(self, name: str, version: int | None = None) -> AsyncModelClient:
        """Return a client of one model, or of one version of it."""
        return AsyncModelClient(self, name, version)

    def __getattr__(self, name: str) -> AsyncModelClient:
        """Return the model ``name``."""
        if name.startswith("_"):
            raise AttributeError(name)
        return self.model(name)

    async def close(self) -> None:
        """Close all connections; the client cannot be used any more."""
        for transport in self._servers.transports:
            await transport.close()

    async def __aenter__(self) -> AsyncClient:
        """Return the client itself."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close all connections."""
        await self.close()

    async def _run(
        self, steps: Operation[T], timeout: float | None = None, *, once: bool = False
    ) -> T:
        deadline = self._deadline(timeout)
        retries = 0 if once else self._retries
        try:
            call = next(steps)
            while True:
                try:
                    answer = await self._send(call, deadline, retries)
                except NaiadError as error:  # noqa: PERF203 - the steps may know what to do
                    call = steps.throw(error)
                else:
                    call = steps.send(answer)
        except StopIteration as stop:
            return stop.value

    async def _send(self, call: Call[T], deadline: Deadline, retries: int | None) -> T:
        async def once() -> T:
            with self._servers.turn() as transport:
                return await transport.send(call, deadline)

        return await AsyncRetrying(**policy(retries, deadline, self._servers))(once)


def open_transport(address: Address, tls: Tls, headers: Mapping[str, str]) -> AsyncTransport:
    """Return the transport for ``address``; it connects with the first call."""
    if address.is_grpc:
        from naiad.client.grpc import AsyncGrpcTransport

        return AsyncGrpcTransport(address, tls, headers)
    from naiad.client.http import AsyncHttpTransport

    return AsyncHttpTransport(address, tls, headers)
