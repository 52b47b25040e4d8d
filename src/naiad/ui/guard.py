"""Middleware that refuses strangers and large bodies before anything else sees a request."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
"""Names of this host, by which a browser reaches a server on loopback."""
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"content-security-policy", b"frame-ancestors 'self'"),
)


class Guard:
    """ASGI middleware that bounds bodies, and refuses other hosts' names and other sites' pages.

    A page of another site could otherwise resolve its own name to loopback (DNS rebinding), or
    post forms with the credentials that a browser keeps.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: Collection[str] = LOOPBACK,
        origins: Collection[str] = (),
        max_bytes: int = 256_000_000,
    ) -> None:
        """Wrap an application.

        Args:
            app: the application.
            hosts: accepted values of the Host header, without port; empty: any.
            origins: other sites whose pages may call, such as ``https://app.example.org``.
            max_bytes: largest body of a request.
        """
        self._app = app
        self._hosts, self._origins, self._max_bytes = (
            frozenset(hosts),
            frozenset(origins),
            max_bytes,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return  # nothing here speaks WebSocket: closed
        headers = Headers(scope=scope)
        if refused := self._refused(scope["method"], headers):
            status, message = refused
            await JSONResponse({"error": message}, status)(scope, receive, send)
            return
        left, began = self._max_bytes, False

        async def bounded() -> Message:
            nonlocal left
            message = await receive()
            if message["type"] == "http.request":
                left -= len(message.get("body", b""))
                if left < 0:
                    raise _TooLargeError
            return message

        async def answer(message: Message) -> None:
            nonlocal began
            if message["type"] == "http.response.start":
                began = True
                present = {name for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *((name, value) for name, value in _HEADERS if name not in present),
                ]
            await send(message)

        try:
            await self._app(scope, bounded, answer)
        except _TooLargeError:
            if not began:
                error = JSONResponse({"error": self._too_large()}, 413)
                await error(scope, receive, send)

    def _refused(self, method: str, headers: Headers) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if self._hosts and _name(host) not in self._hosts:
            return 421, f"this server is {' or '.join(sorted(self._hosts))}, not {host[:200]!r}"
        origin = headers.get("origin")
        if method not in _SAFE and origin is not None and origin not in self._origins:
            netloc = urlsplit(origin).netloc if origin != "null" else ""
            if netloc.lower() != host.lower():
                return 403, f"pages of {origin[:200]} may not call this server"
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self._max_bytes:
            return 413, self._too_large()
        return None

    def _too_large(self) -> str:
        return f"the request is larger than {self._max_bytes:,} bytes"


class _TooLargeError(Exception):
    """A body went on beyond the limit."""


def _name(host: str) -> str:
    """Return the name in a Host header, without port."""
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdecimal() else host.lower()
