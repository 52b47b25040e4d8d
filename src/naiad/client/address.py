"""Server addresses, parsed from the URLs that users write."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from naiad.errors import InvalidInput

Scheme = Literal["grpc", "grpcs", "http", "https", "unix"]

# Triton's own defaults without TLS; TLS usually ends at a gateway on the standard port.
DEFAULT_PORTS: dict[Scheme, int] = {"grpc": 8001, "grpcs": 443, "http": 8000, "https": 443}

LONGEST_SOCKET: Final = 107
"""Most bytes in a Unix socket's path: Linux has 108, with the final zero."""


@dataclass(frozen=True, slots=True)
class Address:
    """A server's address: ``scheme://host:port/path`` (a path on HTTP only).

    For a Unix socket, the path is the socket's, the host ``localhost`` and the port 0.
    """

    scheme: Scheme
    host: str
    port: int
    path: str = ""

    @classmethod
    def parse(cls, url: str) -> Address:
        """Parse ``url``: ``host:port`` and ``grpc(s)://`` mean gRPC, ``http(s)://`` HTTP.

        ``unix:PATH`` is gRPC over a Unix socket; all of PATH is the path, colons and digits too.

        Raises:
            InvalidInput: for an unknown scheme, a missing host, a port out of range, or a part
                that such a URL cannot have.
        """
        if url.startswith("unix:"):
            return cls("unix", "localhost", 0, _socket_path(url))
        try:
            parts = urlsplit(url if "://" in url else f"grpc://{url}")
            port = parts.port
        except ValueError as error:
            raise InvalidInput(f'url "{url}": {error}') from None
        if parts.scheme not in DEFAULT_PORTS:
            known = ", ".join(f"{scheme}://" for scheme in DEFAULT_PORTS)
            raise InvalidInput(
                f'url "{url}": unknown scheme {parts.scheme}://; use one of {known}, unix:'
            )
        scheme = parts.scheme
        path = parts.path.rstrip("/")
        if not parts.hostname:
            raise InvalidInput(f'url "{url}" has no host; write for example localhost:8001')
        if parts.query or parts.fragment or parts.username is not None:
            raise InvalidInput(f'url "{url}": only scheme, host, port and path can be given')
        if path and scheme in ("grpc", "grpcs"):
            raise InvalidInput(f'url "{url}": a gRPC address has no path ("{path}")')
        return cls(scheme, parts.hostname, port or DEFAULT_PORTS[scheme], path)

    @classmethod
    def parse_all(cls, urls: str | Sequence[str]) -> tuple[Address, ...]:
        """Parse the URLs of one or more servers: a sequence, or one string with commas.

        Raises:
            InvalidInput: as for :meth:`parse`; also for no URL, a repeated one, and servers of
                different schemes.
        """
        texts = urls.split(",") if isinstance(urls, str) else urls
        addresses = tuple(cls.parse(text.strip()) for text in texts)
        if not addresses:
            raise InvalidInput("no url is given; write for example localhost:8001")
        twice = next((a for n, a in enumerate(addresses) if a in addresses[:n]), None)
        if twice:
            raise InvalidInput(f"{twice} is given twice")
        other = next((a for a in addresses if a.scheme != addresses[0].scheme), None)
        if other:
            raise InvalidInput(f"{addresses[0]} and {other}: all servers must have one scheme")
        return addresses

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.scheme in ("grpcs", "https")

    @property
    def is_grpc(self) -> bool:
        """Whether the protocol is gRPC (else HTTP)."""
        return self.scheme in ("grpc", "grpcs", "unix")

    @property
    def socket(self) -> Path | None:
        """The server's Unix socket, if it has one."""
        return Path(self.path) if self.scheme == "unix" else None

    @property
    def is_local(self) -> bool:
        """Whether traffic stays on this host: a loopback address or a Unix socket."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def place(self) -> int | Path | None:
        """The port or socket of a server on this host; None for others."""
        return (self.socket or self.port) if self.is_local else None

    @property
    def encrypted(self) -> str:
        """The URL of the same server, encrypted."""
        return f"{'grpcs' if self.is_grpc else 'https'}://{self.target}{self.path}"

    @property
    def target(self) -> str:
        """``host:port``, with an IPv6 host in brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def __str__(self) -> str:
        """Return the whole URL."""
        if self.scheme == "unix":
            return f"unix:{self.path}"
        return f"{self.scheme}://{self.target}{self.path}"


def _socket_path(url: str) -> str:
    """Return the path in ``unix:PATH`` or ``unix:///PATH``.

    Raises:
        InvalidInput: it is missing, or not valid for a socket.
    """
    path = url.removeprefix("unix:")
    if path.startswith("//"):
        path = path[2:]
        if not path.startswith("/"):
            raise InvalidInput(
                f'url "{url}" has a host; write unix:PATH or unix:///PATH, a path on this host'
            )
    if not path or "\0" in path:
        raise InvalidInput(f'url "{url}" has no path; write for example unix:/run/naiad.sock')
    if (length := len(os.fsencode(path))) > LONGEST_SOCKET:
        raise InvalidInput(
            f'url "{url}": the path has {length} bytes; a Unix socket\'s path has at most '
            f"{LONGEST_SOCKET}"
        )
    return path
