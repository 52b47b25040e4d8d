"""Addresses to listen on: users' host names as IP addresses of this machine."""

from __future__ import annotations

import ipaddress
import socket

from naiad.errors import EngineError


def listening_address(host: str) -> str:
    """Return the IP address of ``host``, an address, with or without brackets, or a local name.

    Of a name's addresses the IPv4 one is used, so that clients without IPv6 find it.

    Raises:
        EngineError: the name is unknown, or the address is not this machine's.
    """
    name = host.strip().removeprefix("[").removesuffix("]")
    try:
        found = socket.getaddrinfo(name or None, None, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError):
        raise EngineError(
            f"--host {host}: unknown host; use 127.0.0.1 for this machine only, 0.0.0.0 for all "
            f"its networks, or one of its addresses"
        ) from None
    addresses = [str(entry[4][0]) for entry in sorted(found, key=lambda e: e[0] != socket.AF_INET)]
    for address in addresses:
        with socket.socket(family(address)) as probe:
            try:
                probe.bind((address, 0))
            except OSError:
                continue
            return address
    raise EngineError(
        f"--host {host}: {addresses[0]} is not an address of this machine; `ip address` lists them"
    )


def is_loopback(address: str) -> bool:
    """Return True if only this machine can reach an IP address."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def family(address: str) -> socket.AddressFamily:
    """Return the address family of an IP address."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def reachable(address: str) -> str:
    """Return the address, in URL form, at which this machine reaches a server listening there."""
    own = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)
    return f"[{own}]" if ":" in own else own
