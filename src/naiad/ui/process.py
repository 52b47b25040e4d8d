"""The process that serves the application: ``python -m naiad.ui.process ORDER``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from naiad.client.access import NO_ACCESS, Access
from naiad.typed_json import decode
from naiad.ui.surface import MAX_BYTES

_LONGEST_EXIT = 5  # seconds for calls that are being answered


@dataclass(frozen=True, slots=True)
class Order:
    """What to serve, and where.

    Attributes:
        url, public_url, http_url, secured, hosts, origins, max_bytes, health: see
            `naiad.ui.app.create_app`.
        host, port: to listen on.
        socket: a Unix socket to listen on instead.
    """

    url: str
    public_url: str = ""
    http_url: str = ""
    secured: bool = False
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    max_bytes: int = MAX_BYTES
    health: str | None = None
    host: str = "127.0.0.1"
    port: int = 7860
    socket: str = ""


def run(
    order: Order, access: Access = NO_ACCESS, *, listening: Callable[[], None] = lambda: None
) -> None:
    """Serve until SIGINT or SIGTERM; ``listening`` is called when browsers can connect."""
    from naiad.ui.own_folder import own_folder

    with own_folder(), suppress(KeyboardInterrupt):  # raised again after an orderly end
        _serve(order, access, listening)


def _serve(order: Order, access: Access, listening: Callable[[], None]) -> None:
    import uvicorn

    from naiad.ui.app import create_app

    app = create_app(
        order.url,
        access=access,
        public_url=order.public_url,
        http_url=order.http_url,
        secured=order.secured,
        hosts=order.hosts,
        origins=order.origins,
        max_bytes=order.max_bytes,
        health=order.health,
    )

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            if self.started:
                listening()

    config = uvicorn.Config(
        app,
        uds=order.socket or None,
        host=order.host,
        port=order.port,
        log_level="warning",
        # Behind the gate, which sets these headers itself.
        proxy_headers=bool(order.socket),
        forwarded_allow_ips="*" if order.socket else "",
        server_header=False,
        timeout_graceful_shutdown=_LONGEST_EXIT,
    )
    Server(config).run()


if __name__ == "__main__":
    run(decode(sys.argv[1], Order))
