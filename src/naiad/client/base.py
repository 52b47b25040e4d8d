"""The base of the blocking and the asyncio client: their settings and servers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from naiad.client.access import Access
from naiad.client.address import Address
from naiad.client.deadline import Deadline
from naiad.client.operations import Operations
from naiad.client.servers import Servers
from naiad.client.transport import Calls, Tls
from naiad.errors import InvalidInput
from naiad.notebook_html import facts

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
        self._settings = (urls, open_transport, access, timeout, retries)
        self._timeout = timeout
        self._retries = retries
        self._operations = Operations(self._servers.calls, self.url)

    def __getstate__(self) -> Any:
        """Return the settings, credentials included: connections are not pickled."""
        return self._settings

    def __setstate__(self, settings: Any) -> None:
        """Prepare to talk to the same servers; an API key of the environment is read anew."""
        ClientBase.__init__(self, *settings)

    def __repr__(self) -> str:
        """Return the class and the servers' addresses."""
        return f"{type(self).__name__}('{self._servers}')"

    def _repr_html_(self) -> str:
        """Return the same for notebooks; nothing is sent for it."""
        addresses = str(self._servers).split(",")
        return facts(
            type(self).__name__, {"servers" if len(addresses) > 1 else "server": addresses}
        )

    @property
    def url(self) -> str:
        """The server's address; of several, all with commas between them."""
        return str(self._servers)

    def _seconds(self, timeout: float | None) -> float:
        return self._timeout if timeout is None else timeout
