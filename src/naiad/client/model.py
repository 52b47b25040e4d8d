"""One model of a server, by either client."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

from numpy.typing import ArrayLike

from naiad.client.transport import Arrays, Json, Parameter
from naiad.errors import NaiadError

if TYPE_CHECKING:
    from naiad.client.aio import AsyncClient
    from naiad.client.client import Client

Requests: TypeAlias = "Iterable[Mapping[str, ArrayLike]] | AsyncIterable[Mapping[str, ArrayLike]]"


class ModelClient:
    """One model of a server; see `Client` for what each method does."""

    def __init__(self, client: Client, name: str, version: int | None = None) -> None:
        """Bind the model ``name`` of ``client``, in the newest ``version`` if none is given."""
        self.client = client
        self.name = name
        self.version = version

    def __repr__(self) -> str:
        """Return the class, the model and the server."""
        return f"ModelClient('{self.name}' at {self.client.url})"

    def infer(
        self,
        arrays: Mapping[str, ArrayLike] | None = None,
        /,
        *,
        outputs: Sequence[str] | None = None,
        parameters: Mapping[str, Parameter] | None = None,
        request_id: str = "",
        timeout: float | None = None,
        **tensors: ArrayLike,
    ) -> Arrays:
        """Return the model's outputs by name; see `Client.infer`."""
        return self.client.infer(
            self.name,
            arrays,
            outputs=outputs,
            parameters=parameters,
            request_id=request_id,
            timeout=timeout,
            version=self.version,
            **tensors,
        )

    @overload
    def infer_many(
        self,
        requests: Iterable[Mapping[str, ArrayLike]],
        *,
        outputs: Sequence[str] | None = None,
        parameters: Mapping[str, Parameter] | None = None,
        timeout: float | None = None,
        concurrency: int = 8,
        progress: bool = False,
        on_error: Literal["raise"] = "raise",
    ) -> Iterator[Arrays]: ...

    @overload
    def infer_many(
        self,
        requests: Iterable[Mapping[str, ArrayLike]],
        *,
        outputs: Sequence[str] | None = None,
        parameters: Mapping[str, Parameter] | None = None,
        timeout: float | None = None,
        concurrency: int = 8,
        progress: bool = False,
        on_error: Literal["return"],
    ) -> Iterator[Arrays | NaiadError]: ...

    def infer_many(self, requests: Iterable[Mapping[str, ArrayLike]], **options: Any) -> Any:
        """Yield the answer to each of ``requests``, in order; see `Client.infer_many`."""
        return self.client.infer_many(self.name, requests, version=self.version, **options)

    def ready(self, *, timeout: float | None = None) -> bool:
        """Return whether the model says it is ready."""
        return self.client.ready(self.name, timeout=timeout)

    def metadata(self) -> Json:
        """Return the model's metadata."""
        return self.client.metadata(self.name)

    def config(self) -> Json:
        """Return the model's configuration."""
        return self.client.config(self.name)

    def notice(self) -> str:
        """Return what every user must know of the served weights, or ""."""
        return notice_of(self.config())

    def statistics(self) -> Json:
        """Return Triton's statistics of the model."""
        return self.client.statistics(self.name)


class AsyncModelClient:
    """One model of a server; see `AsyncClient` for what each method does."""

    def __init__(self, client: AsyncClient, name: str, version: int | None = None) -> None:
        """Bind the model ``name`` of ``client``, in the newest ``version`` if none is given."""
        self.client = client
        self.name = name
        self.version = version

    def __repr__(self) -> str:
        """Return the class, the model and the server."""
        return f"AsyncModelClient('{self.name}' at {self.client.url})"

    async def infer(
        self,
        arrays: Mapping[str, ArrayLike] | None = None,
        /,
        *,
        outputs: Sequence[str] | None = None,
        parameters: Mapping[str, Parameter] | None = None,
        request_id: str = "",
        timeout: float | None = None,
        **tensors: ArrayLike,
    ) -> Arrays:
        """Return the model's outputs by name; see `AsyncClient.infer`."""
        return await self.client.infer(
            self.name,
            arrays,
            outputs=outputs,
            parameters=parameters,
            request_id=request_id,
            timeout=timeout,
            version=self.version,
            **tensors,
        )

    @overload
    def infer_many(
        self,
        requests: Requests,
        *,
        outputs: Sequence[str] | None = None,
        parameters: Mapping[str, Parameter] | None = None,
        timeout: float | None = None,
        concurrency: int = 8,
        progress: bool = False,
        on_error: Literal["raise"] = "raise",
    ) -> AsyncIterator[Arrays]: ...

    @overload
    def infer_many(
        self,
        requests: Requests,
        *,
        outputs: Sequence[str] | None = None,
        parameters: Mapping[str, Parameter] | None = None,
        timeout: float | None = None,
        concurrency: int = 8,
        progress: bool = False,
        on_error: Literal["return"],
    ) -> AsyncIterator[Arrays | NaiadError]: ...

    def infer_many(self, requests: Requests, **options: Any) -> Any:
        """Yield the answer to each of ``requests``, in order; see `AsyncClient.infer_many`."""
        return self.client.infer_many(self.name, requests, version=self.version, **options)

    async def ready(self, *, timeout: float | None = None) -> bool:
        """Return whether the model says it is ready."""
        return await self.client.ready(self.name, timeout=timeout)

    async def metadata(self) -> Json:
        """Return the model's metadata."""
        return await self.client.metadata(self.name)

    async def config(self) -> Json:
        """Return the model's configuration."""
        return await self.client.config(self.name)

    async def notice(self) -> str:
        """Return what every user must know of the served weights, or ""."""
        return notice_of(await self.config())

    async def statistics(self) -> Json:
        """Return Triton's statistics of the model."""
        return await self.client.statistics(self.name)


def notice_of(config: Json) -> str:
    """The notice in the configuration of a model that Naiad serves, or ""."""
    return str(config.get("parameters", {}).get("notice", {}).get("string_value", ""))
