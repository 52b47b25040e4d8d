"""Endpoints of a server that are open without a key; the probes change nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from naiad.client.address import Address
from naiad.client.client import open_transport
from naiad.client.deadline import Deadline
from naiad.client.transport import Call, Tls, Transport
from naiad.errors import NaiadError, Unavailable

_PATIENCE = 10.0  # seconds

QUESTIONS: Final[Mapping[str, tuple[str, str, str]]] = {
    "inference": ("ServerMetadata", "GET", "/v2"),
    "list of models": ("RepositoryIndex", "POST", "/v2/repository/index"),
    "shared memory": ("SystemSharedMemoryStatus", "GET", "/v2/systemsharedmemory/status"),
    "logging": ("LogSettings", "GET", "/v2/logging"),
    "trace": ("TraceSetting", "GET", "/v2/trace/setting"),
}
"""The gRPC method, and the HTTP method and path, that read each endpoint."""


def open_to_outsiders(address: Address, tls: Tls) -> dict[str, bool]:
    """Return whether each endpoint answers without a key.

    Raises:
        Unavailable: no server answers.
    """
    transport = open_transport(address, tls, {})
    make = _grpc_call if address.is_grpc else _http_call
    try:
        return {name: _answers(transport, make(*how)) for name, how in QUESTIONS.items()}
    finally:
        transport.close()


def tasks_open_to_outsiders(address: Address, tls: Tls, host: str = "") -> bool:
    """Return whether the tasks over HTTP answer without a key, also to another name as ``host``.

    Raises:
        Unavailable: nothing answers.
    """
    from naiad.client.http import HttpRequest

    transport = open_transport(address, tls, {"host": host} if host else {})
    try:
        return _answers(transport, Call(HttpRequest("/v1/tasks"), _ignore))
    finally:
        transport.close()


def _answers(transport: Transport, call: Call[None]) -> bool:
    try:
        transport.send(call, Deadline.after(_PATIENCE))
    except Unavailable:
        raise
    except NaiadError:
        return False
    return True


def _grpc_call(method: str, verb: str, path: str) -> Call[None]:
    from naiad.client.grpc import messages

    return Call((method, getattr(messages, f"{method}Request")()), _ignore)


def _http_call(method: str, verb: str, path: str) -> Call[None]:
    from naiad.client.http import HttpRequest

    return Call(HttpRequest(path, b"{}" if verb == "POST" else None), _ignore)


def _ignore(reply: Any) -> None:
    """Ignore the answer: it is enough that there is one."""
