"""The server that had the ports before: one that is stopping is given the time to end."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import psutil

from naiad.triton.hosts import reachable
from naiad.triton.log_entries import LogEvent
from naiad.triton.ports import is_free, owner

STOPPING: Final = "NAIAD_STOPPING"
"""Variable of Triton's environment with the path of a file that exists once it is stopping."""

_POLL = 0.1  # seconds
_GRACE = 10.0  # seconds beyond the exit timeout, for its processes and files


def await_predecessor(
    wanted: Mapping[str, tuple[str, int | None]],
    exit_timeout: float,
    on_event: Callable[[LogEvent], None],
) -> None:
    """Wait while a server at one of the ``wanted`` ports is finishing its last requests.

    Until then it holds them; the health port is the last to be closed. A restart that does not wait
    for the old process would find them in use. Ports whose owner is not stopping are left alone.

    Args:
        wanted: address and port by use, such as ``"health"``.
        exit_timeout: seconds that the server before is given for its last requests.
        on_event: called once, if there is something to wait for.

    Raises:
        EngineError: this user may not use a port.
    """
    deadline = time.monotonic() + exit_timeout + _GRACE
    said = False
    for use, (host, port) in wanted.items():
        if not port or is_free(host, port) or not _is_stopping(use, host, port):
            continue
        if not said:
            said = True
            on_event(LogEvent("warning", f"waiting for the server with {use} port {port} to stop"))
        while not is_free(host, port) and time.monotonic() < deadline:
            time.sleep(_POLL)


def _is_stopping(use: str, host: str, port: int) -> bool:
    return _says_so(host, port) if use == "health" else _triton_is_stopping(port)


def _says_so(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(reachable(host), port, timeout=1)
    try:
        connection.request("GET", "/livez")
        return json.loads(connection.getresponse().read(10_000))["state"] == "stopping"
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return False
    finally:
        connection.close()


def _triton_is_stopping(port: int) -> bool:
    """Return whether the port's owner is a Triton of ours that is stopping, or has no parent."""
    process = owner(port)
    try:
        marker = process.environ().get(STOPPING) if process is not None else None
    except psutil.Error:
        return False
    return marker is not None and Path(marker).exists()
