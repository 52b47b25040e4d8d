"""Proxies in the environment that gRPC uses to reach a server.

gRPC's core reads the variables itself (seen in 1.85); this module repeats its decision, so that an
error can name the proxy. The HTTP transports use no proxy.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from naiad.client.address import Address

_PROXY = ("grpc_proxy", "https_proxy", "http_proxy")
_NO_PROXY = ("no_grpc_proxy", "no_proxy")


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy, ``host:port`` without user and password, and the variable that names it."""

    target: str
    variable: str

    def __str__(self) -> str:
        """Return both in words."""
        return f"the proxy {self.target} of the environment's {self.variable}"


def proxy_to(address: Address) -> Proxy | None:
    """Return the proxy between this client and a gRPC server; None on loopback."""
    if address.is_local or not address.is_grpc:
        return None
    variable = next((name for name in _PROXY if os.environ.get(name)), None)
    if variable is None or _is_excepted(address.host):
        return None
    try:
        parts = urlsplit(os.environ[variable])
        target = f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
    except ValueError:
        return None
    return Proxy(target, variable) if parts.scheme == "http" else None  # as gRPC does


def _is_excepted(host: str) -> bool:
    """Return whether ``no_proxy`` has the host, by the end of its name or by its network."""
    exceptions = next((value for name in _NO_PROXY if (value := os.environ.get(name))), "")
    for entry in map(str.strip, exceptions.lower().split(",")):
        if entry and (host.endswith(entry) or _is_in(host, entry)):
            return True
    return False


def _is_in(host: str, network: str) -> bool:
    try:
        return ip_address(host) in ip_network(network, strict=False)
    except ValueError:
        return False
