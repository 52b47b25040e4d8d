"""The base of the blocking and the asyncio client: their settings and servers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

from naiad.client.access import Access
from naiad.client.address import Address
from naiad.client.deadline import Deadline
from naiad.client.operations import Operations
from naiad.client.servers import Servers
from naiad.client.transport import Calls, Tls
from naiad.errors import InvalidInput

C = TypeVar("C", bound=Calls)


class ClientBase(Generic[C]):
    """Settings of a client, its servers, and the operations on them."""

    def __init__(
        self,
        urls: str | Sequence[str],
        open_transport: Callable[[Address, Tls, Mapping[str, str]], C],
        access: Access,
        timeout: float,
        retries: int | None,
    ) -> None:
        """Check and keep the settings; nothing is sent yet.

        Raises:
            InvalidInput: a URL or a setting is invalid, or :class:`Access` refuses one.
        """
        Deadline.after(timeout)
        if retries is not None and retries < 0:
            raise InvalidInput(f"retries is {retries}; it must be 0 or more")
        self._servers = Servers(
            (address, open_transport(address, access.tls_to(address), access.headers_to(address)))
            for address in Address.parse_all(urls)
        )
        self._timeout = timeout
        self._retries = retries
        self._operations = Operations(self._servers.calls, self.url)

    def __repr__(self) -> str:
        """Return the class and the servers' addresses."""
        return f"{type(self).__name__}('{self._servers}')"

    @property
    def url(self) -> str:
        """The server's address; of several, all with commas between them."""
        return str(self._servers)

    def _seconds(self, timeout: float | None) -> float:
        return self._timeout if timeout is None else timeout
