"""The server that had the ports before: one that is stopping is given the time to end."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable

from naiad.triton.hosts import reachable
from naiad.triton.log_entries import LogEvent
from naiad.triton.ports import is_free

_POLL = 0.1  # seconds
_GRACE = 10.0  # seconds beyond the exit timeout, for its processes and files


def await_predecessor(
    host: str, port: int | None, exit_timeout: float, on_event: Callable[[LogEvent], None]
) -> None:
    """Wait while a server at the health port is finishing its last requests.

    Until then it holds all its ports, of which the health port is the last to be closed. A restart
    that does not wait for the old process would find them in use. Do nothing for a port that is
    free, or whose owner does not say that it is stopping.

    Raises:
        EngineError: this user may not use the port.
    """
    if not port or is_free(host, port) or not _is_stopping(host, port):
        return
    on_event(LogEvent("warning", f"waiting for the server with health port {port} to stop"))
    deadline = time.monotonic() + exit_timeout + _GRACE
    while not is_free(host, port) and time.monotonic() < deadline:
        time.sleep(_POLL)


def _is_stopping(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(reachable(host), port, timeout=1)
    try:
        connection.request("GET", "/livez")
        return json.loads(connection.getresponse().read(10_000))["state"] == "stopping"
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return False
    finally:
        connection.close()
