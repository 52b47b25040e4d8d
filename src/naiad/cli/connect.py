"""A client of the server that a command talks to, or of one that is started for it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from naiad.cli.console import errors
from naiad.client import Client
from naiad.errors import Unavailable


@contextmanager
def connected(
    application: str, url: str | None, *, timeout: float, weights: Path | None = None
) -> Generator[Client]:
    """A client of the server at ``url``; None starts one that serves ``application`` alone.

    Args:
        application: its name, as ``naiad serve`` takes it.
        url: of a running server, or None.
        timeout: seconds per request.
        weights: of a server that is started.

    Raises:
        Unavailable: no server is there; says how to start one.
        EngineError: Triton cannot run here.
    """
    with ExitStack() as stack:
        if url is None:
            from naiad.triton.serving import serve

            with errors.status("starting Triton"):
                server = serve(
                    application, weights=weights, http_port=0, grpc_port=0, metrics_port=0
                )
            stack.enter_context(server)
            url = server.grpc_url
        client = stack.enter_context(Client(url, timeout=timeout))
        if not client.ready():
            raise Unavailable(
                f"no server is ready at {url}; start one in another terminal with "
                f"`naiad serve {application}`, or add --local to start one for this command alone"
            )
        yield client
