"""Where a server is: the URL a user writes, taken apart once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from naiad.errors import InvalidInput

Scheme = Literal["grpc", "grpcs", "http", "https"]

# Triton's own defaults without TLS; TLS usually ends at a gateway on the standard port.
DEFAULT_PORTS: dict[Scheme, int] = {"grpc": 8001, "grpcs": 443, "http": 8000, "https": 443}


@dataclass(frozen=True, slots=True)
class Address:
    """A server's address: ``scheme://host:port/path`` (a path on HTTP only)."""

    scheme: Scheme
    host: str
    port: int
    path: str = ""

    @classmethod
    def parse(cls, url: str) -> Address:
        """Read ``url``: ``host:port`` and ``grpc(s)://`` mean gRPC, ``http(s)://`` HTTP.

        Raises:
            InvalidInput: for another scheme, a missing host, a port out of range, or a part that
                such a URL cannot have.
        """
        try:
            parts = urlsplit(url if "://" in url else f"grpc://{url}")
            port = parts.port
        except ValueError as error:
            raise InvalidInput(f'url "{url}": {error}') from None
        if parts.scheme not in DEFAULT_PORTS:
            known = ", ".join(f"{scheme}://" for scheme in DEFAULT_PORTS)
            raise InvalidInput(f'url "{url}": unknown scheme {parts.scheme}://; use one of {known}')
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
        """Read the URLs of one or more servers, in one text with commas or in a sequence.

        Raises:
            InvalidInput: as for :meth:`parse`; also for no URL, one that is there twice, and
                servers of different schemes.
        """
        texts = urls.split(",") if isinstance(urls, str) else urls
        addresses = tuple(cls.parse(text.strip()) for text in texts)
        if not addresses:
            raise InvalidInput("there is no url; write for example localhost:8001")
        twice = next((a for n, a in enumerate(addresses) if a in addresses[:n]), None)
        if twice:
            raise InvalidInput(f"{twice} is there twice")
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
        """Whether the server is spoken to by gRPC (else HTTP)."""
        return self.scheme in ("grpc", "grpcs")

    @property
    def target(self) -> str:
        """``host:port``, an IPv6 host in brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def __str__(self) -> str:
        """Return the whole URL."""
        return f"{self.scheme}://{self.target}{self.path}"
