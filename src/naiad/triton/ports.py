"""TCP ports: free ones, and the owners of those in use."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping

import psutil

from naiad.errors import EngineError
from naiad.triton.hosts import family


def choose_ports(wanted: Mapping[str, tuple[str, int | None]]) -> dict[str, int]:
    """Return a port for each use: the wanted one, or a free one if that is 0 or None.

    Raises:
        EngineError: a wanted port is in use; says by whom, if known.
    """
    uses: dict[int, str] = {}
    for use, (address, port) in wanted.items():
        if not port:
            continue
        if port in uses:
            raise EngineError(f"port {port} is given twice: {uses[port]} and {use}")
        uses[port] = use
        if not is_free(address, port):
            raise EngineError(in_use(use, port))
    chosen = {use: port for use, (_, port) in wanted.items() if port}
    for use, (address, _) in wanted.items():
        while use not in chosen:
            (free,) = free_ports(address, 1)
            if free not in chosen.values():  # a port may be free at one address and not at another
                chosen[use] = free
    return chosen


def in_use(use: str, port: int) -> str:
    """Return the error message for a port in use."""
    process = owner(port)
    who = ""
    with contextlib.suppress(psutil.Error):
        who = f"{process.name()} (process {process.pid})" if process is not None else ""
    return (
        f"{use} port {port} is in use{f' by {who}' if who else ''}; choose another, or 0 for any "
        f"free one"
    )


def not_allowed(port: int, error: PermissionError) -> str:
    """Return the error message for a port that only an administrator may use."""
    return f"this user may not use port {port}: {error}"


def free_ports(host: str, count: int) -> list[int]:
    """Return distinct ports on ``host`` that are free now."""
    with contextlib.ExitStack() as stack:
        ports: list[int] = []
        for _ in range(count):
            held = stack.enter_context(socket.socket(family(host)))
            held.bind((host, 0))
            ports.append(held.getsockname()[1])
        return ports


def is_free(host: str, port: int) -> bool:
    """Return True if a server could listen there now.

    Raises:
        EngineError: the port is below 1024, for the administrator only.
    """
    with socket.socket(family(host)) as probe:
        # As servers do: ignore an earlier server's connections in TIME_WAIT.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except PermissionError as error:  # below 1024
            raise EngineError(not_allowed(port, error)) from None
        except OSError:
            return False
        return True


def owner(port: int) -> psutil.Process | None:
    """Return the process that listens on a port, or None if that is hidden."""
    try:
        connections = psutil.net_connections("tcp")
    except psutil.Error:
        return None
    for connection in connections:
        listening = connection.status == psutil.CONN_LISTEN
        if listening and getattr(connection.laddr, "port", 0) == port and connection.pid:
            with contextlib.suppress(psutil.Error):
                return psutil.Process(connection.pid)
    return None
