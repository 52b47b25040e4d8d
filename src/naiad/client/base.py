"""What the blocking and the asyncio client have in common: settings, and what each call needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

from numpy.typing import ArrayLike

from naiad.client import checks, operations
from naiad.client.access import Access
from naiad.client.address import Address
from naiad.client.deadline import Deadline
from naiad.client.operations import Operation
from naiad.client.servers import Servers
from naiad.client.spec import ModelSpec
from naiad.client.transport import Arrays, Call, Calls, Json, ModelInfo, Parameter, Tls
from naiad.errors import InvalidInput

C = TypeVar("C", bound=Calls)


def connect(
    urls: str | Sequence[str],
    open_transport: Callable[[Address, Tls, Mapping[str, str]], C],
    access: Access,
) -> Servers[C]:
    """Return the servers at ``urls``, each with a transport; nothing is sent yet.

    Raises:
        InvalidInput: for URLs that cannot be, or for what :class:`Access` refuses.
    """
    return Servers(
        (address, open_transport(address, access.tls_to(address), access.headers_to(address)))
        for address in Address.parse_all(urls)
    )


class ClientBase(Generic[C]):
    """Settings of a client, its servers, and what it has learned of their models."""

    def __init__(self, servers: Servers[C], timeout: float, retries: int | None) -> None:
        """Check and keep the settings."""
        Deadline.after(timeout)
        if retries is not None and retries < 0:
            raise InvalidInput(f"retries is {retries}; it must be 0 or more")
        self._servers = servers
        self._timeout = timeout
        self._retries = retries
        self._specs: dict[str, ModelSpec] = {}

    def __repr__(self) -> str:
        """Return the class and the servers' addresses."""
        return f"{type(self).__name__}('{self._servers}')"

    @property
    def url(self) -> str:
        """The server's address; those of several, with commas between them."""
        return str(self._servers)

    def _deadline(self, timeout: float | None) -> Deadline:
        return Deadline.after(self._timeout if timeout is None else timeout)

    def _infer(
        self,
        model: str,
        arrays: Mapping[str, ArrayLike] | None,
        tensors: Mapping[str, ArrayLike],
        outputs: Sequence[str] | None,
        parameters: Mapping[str, Parameter] | None,
        request_id: str,
        timeout: float | None,
        version: int | None,
    ) -> Operation[Arrays]:
        return operations.infer(
            self._servers.calls,
            self.url,
            self._specs,
            model,
            checks.merged(arrays, tensors),
            outputs,
            parameters,
            request_id,
            self._timeout if timeout is None else timeout,
            version,
        )

    def _ready(self, model: str | None) -> Operation[bool]:
        return operations.ready(self._servers.calls, model)

    def _models(self) -> Operation[tuple[ModelInfo, ...]]:
        return operations.ask(self._servers.calls.models())

    def _load(self, model: str) -> Operation[None]:
        self._servers.only("to load a model")
        return operations.control(
            self._servers.calls, self.url, model, self._servers.calls.load(model)
        )

    def _unload(self, model: str) -> Operation[None]:
        self._servers.only("to unload a model")
        return operations.control(
            self._servers.calls, self.url, model, self._servers.calls.unload(model)
        )

    def _metadata(self, model: str | None) -> Operation[Json]:
        return self._about(model, self._servers.calls.metadata(model))

    def _config(self, model: str) -> Operation[Json]:
        return self._about(model, self._servers.calls.config(model))

    def _statistics(self, model: str | None) -> Operation[Json]:
        return self._about(model, self._servers.calls.statistics(model))

    def _about(self, model: str | None, call: Call[Json]) -> Operation[Json]:
        if model is None:
            return operations.ask(call)
        return operations.about(self._servers.calls, self.url, model, call)
