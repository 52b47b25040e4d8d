"""A server in words, for terminals and notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from naiad.notebook_html import facts

if TYPE_CHECKING:
    from naiad.triton.server import Server


def in_a_line(server: Server) -> str:
    """Return the addresses and models of a server, or that it does not run."""
    if server.pid is None:
        return "Server(not running)"
    models = [*server.models, *(f"{name} (not ready)" for name in server.missing)]
    return f"Server({server.grpc_url}, {server.http_url}; {', '.join(models) or 'no models'})"


def as_html(server: Server) -> str:
    """Return the addresses, the state of each model, and the log of a server."""
    if server.pid is None:
        return facts("Naiad server, not running", _log(server))
    models = [f"{name}: ready" for name in server.models]
    models += [f"{name}: {reason}" for name, reason in server.missing.items()]
    health = {"health": server.health_url} if server.health_url else {}
    return facts(
        "Naiad server",
        {
            "gRPC": server.grpc_url,
            "HTTP": server.http_url,
            "metrics": server.metrics_url,
            **health,
            "models": models or "none",
            **_log(server),
        },
    )


def _log(server: Server) -> dict[str, str]:
    return {"log": str(server.log_path)} if server.log_path and server.log_path.exists() else {}
