"""The application that serves the page and the tasks over HTTP; a client of the server."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager
from importlib.util import find_spec

from fastapi import FastAPI

from naiad import __version__
from naiad.client import Client
from naiad.client.access import NO_ACCESS, Access
from naiad.tasks.served import ServedTasks
from naiad.ui.guard import LOOPBACK, Guard
from naiad.ui.surface import MAX_BYTES, Surface
from naiad.ui.tasks_api import add_tasks

__all__ = ["Surface", "create_app"]


def create_app(
    url: str,
    *,
    access: Access = NO_ACCESS,
    public_url: str = "",
    http_url: str = "",
    secured: bool = False,
    hosts: Collection[str] = LOOPBACK,
    origins: Collection[str] = (),
    max_bytes: int = MAX_BYTES,
    health: str | None = None,
) -> FastAPI:
    """Return the application for the server at ``url``; nothing is asked of it yet.

    The page is at ``/ui`` if its packages are installed: `naiad.ui.page.mount`.

    Args:
        url: of the server, as for `naiad.Client`.
        access: credentials for it.
        public_url: where users reach the server, if that is not ``url``.
        http_url: where they reach it over HTTP; ``/`` for this application's own address, ""
            if that is not known.
        secured: a gate in front asks for credentials.
        hosts: accepted names of this application in the Host header; empty: any.
        origins: other sites whose pages may call it.
        max_bytes: largest request.
        health: URL of the server's health port, which tells of its requests; None: that of this
            host's server, or port 8003.

    Raises:
        InvalidInput: the URL is invalid.
    """
    client = Client(
        url,
        headers=access.headers,
        api_key=access.api_key,
        ca=access.ca,
        certificate=access.certificate,
        private_key=access.private_key,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        yield
        client.close()

    # The documentation pages of FastAPI load their scripts from elsewhere.
    app = FastAPI(
        title="Naiad",
        version=__version__,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.add_middleware(Guard, hosts=hosts, origins=origins, max_bytes=max_bytes)
    surface = Surface(ServedTasks(client), public_url or url, http_url, secured, max_bytes, health)
    add_tasks(app, surface)
    if find_spec("gradio") is not None and find_spec("naiad.ui.page") is not None:
        from naiad.ui.page import mount  # pyright: ignore[reportMissingImports]

        mount(app, surface)
    return app
