"""An HTTP server in front of an archive that passes requests on, or misbehaves."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias
from urllib.parse import urlsplit

Reply: TypeAlias = "tuple[int, str, bytes]"
"""Status, content type and body."""
Misbehave: TypeAlias = Callable[[Reply], Reply]
"""Makes the reply of what the archive answers."""

_OWN = {"host", "transfer-encoding", "content-length", "connection", "accept-encoding"}
SLOW = 1.5  # seconds
PAGE = b"<html><body>Please log in</body></html>"


def status(code: int) -> Misbehave:
    return lambda reply: (code, "text/html", PAGE)


def page(reply: Reply) -> Reply:
    """A proxy's page, of which the status says that all is well."""
    return 200, "text/html", PAGE


def wrong_json(reply: Reply) -> Reply:
    return 200, "application/dicom+json", b'{"error": [1, 2'


def other_json(reply: Reply) -> Reply:
    return 200, "application/dicom+json", b'[{"0020000D": 7}]'


def truncated(reply: Reply) -> Reply:
    return reply[0], reply[1], reply[2][: len(reply[2]) * 2 // 3]


def slow(reply: Reply) -> Reply:
    time.sleep(SLOW)
    return reply


class Front:
    """The server.

    Attributes:
        url: of the archive, through it.
        misbehave: by the method and a part of the path: ``("GET", "/series/")``.
    """

    def __init__(self, target: str) -> None:
        self._target = urlsplit(target)
        self.misbehave: dict[tuple[str, str], Misbehave] = {}
        front = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                front.answer(self)

            do_POST = do_GET  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:
                """Print nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        host, port = self._server.server_address[:2]
        self.url = f"http://{host}:{port}{self._target.path}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        if handler.headers.get("Transfer-Encoding") == "chunked":
            body = b"".join(iter(lambda: self._chunk(handler), b""))
        method, path = str(handler.command), handler.path
        how = next(
            (how for (one, part), how in self.misbehave.items() if one == method and part in path),
            None,
        )
        reply: Reply = (0, "", b"")
        if method == "GET" or how is None or how is slow:
            reply = self._passed_on(method, path, handler, body)
        code, kind, content = reply if how is None else how(reply)
        with suppress(OSError):  # the client is gone
            handler.send_response(code)
            handler.send_header("Content-Type", kind)
            handler.send_header("Content-Length", str(len(content)))
            handler.end_headers()
            handler.wfile.write(content)

    def _chunk(self, handler: BaseHTTPRequestHandler) -> bytes:
        size = int(handler.rfile.readline().split(b";")[0], 16)
        data = handler.rfile.read(size)
        handler.rfile.readline()
        return data

    def _passed_on(
        self, method: str, path: str, handler: BaseHTTPRequestHandler, body: bytes
    ) -> Reply:
        headers = {
            name: value for name, value in handler.headers.items() if name.lower() not in _OWN
        }
        assert self._target.hostname is not None
        connection = http.client.HTTPConnection(self._target.hostname, self._target.port)
        try:
            connection.request(method, path, body or None, headers)
            answer = connection.getresponse()
            return answer.status, answer.headers.get("Content-Type", ""), answer.read()
        finally:
            connection.close()


@contextmanager
def in_front_of(target: str) -> Iterator[Front]:
    front = Front(target)
    front._thread.start()
    try:
        yield front
    finally:
        front._server.shutdown()
        front._thread.join()
        front._server.server_close()
