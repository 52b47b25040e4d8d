"""A server that plays ArangoDB's documented answers, request by request."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# The allowed text of queries: values, names and collections are bind variables, and these few words
# are the only literals.
_LITERALS = re.compile(r"'(bfs|global)'|\b[01]\b|null")
_TEXT = re.compile(r"[A-Za-z_0-9@\s.,:;()\[\]{}*=!<>]*")


@dataclass(slots=True)
class Exchange:
    """One request and its answer.

    Attributes:
        method: such as ``POST``.
        path: without the database.
        status: of the answer.
        answer: its JSON.
        words: contained in the text of the query.
        bind: its bind variables, if they are checked.
        body: the JSON of a request other than a query, if it is checked.
    """

    method: str
    path: str
    status: int
    answer: Any
    words: str = ""
    bind: dict[str, Any] | None = None
    body: Any = None


def query(
    words: str, result: list[Any], bind: dict[str, Any] | None = None, *, database: str = "db"
) -> Exchange:
    """Make a ``POST /_api/cursor`` with the only batch of its result."""
    answer = {
        "result": result,
        "hasMore": False,
        "cached": False,
        "extra": {"warnings": [], "stats": {}},
        "error": False,
        "code": 201,
    }
    return Exchange("POST", f"/_db/{database}/_api/cursor", 201, answer, words, bind)


def refused(words: str, status: int, number: int, message: str) -> Exchange:
    """Make a query that ends with an error."""
    answer = {"code": status, "error": True, "errorMessage": message, "errorNum": number}
    return Exchange("POST", "/_db/db/_api/cursor", status, answer, words)


def collections(*names: str) -> Exchange:
    """Make a ``GET /_api/collection``."""
    rows = [
        {
            "id": str(i),
            "name": name,
            "status": 3,
            "type": 2,
            "isSystem": False,
            "globallyUniqueId": "",
        }
        for i, name in enumerate(names)
    ]
    answer = {"error": False, "code": 200, "result": rows}
    return Exchange("GET", "/_db/db/_api/collection", 200, answer)


def created(name: str, kind: int = 2) -> Exchange:
    """Make a ``POST /_api/collection``."""
    answer = {"error": False, "code": 200, "name": name, "type": kind, "status": 3, "id": "7"}
    body = {"name": name, "type": kind}
    return Exchange("POST", "/_db/db/_api/collection", 200, answer, body=body)


def dropped(name: str, *, there: bool = True) -> Exchange:
    """Make a ``DELETE /_api/collection/NAME``."""
    answer = {"error": False, "code": 200, "id": "7"}
    missing = {"error": True, "code": 404, "errorNum": 1203, "errorMessage": "not found"}
    path = f"/_db/db/_api/collection/{name}"
    return Exchange("DELETE", path, 200 if there else 404, answer if there else missing)


@dataclass(slots=True)
class Tape:
    """The expected exchanges, and the errors of requests."""

    exchanges: list[Exchange]
    url: str = ""
    wrong: list[str] = field(default_factory=list)
    authorization: set[str] = field(default_factory=set)

    def answer(self, method: str, path: str, body: Any) -> Exchange:
        if not self.exchanges:
            self.wrong.append(f"{method} {path} was not expected: {body}")
            return Exchange(method, path, 500, {"error": True, "errorMessage": "the tape ended"})
        wanted = self.exchanges.pop(0)
        if (method, path) != (wanted.method, wanted.path):
            self.wrong.append(f"{method} {path}, not {wanted.method} {wanted.path}: {body}")
        if path.endswith("/cursor"):
            text = body["query"]
            if wanted.words not in text:
                self.wrong.append(f"{text!r} has not {wanted.words!r}")
            if not _TEXT.fullmatch(_LITERALS.sub("", text)):
                self.wrong.append(f"{text!r} has more than words and bind variables")
            bind = json.loads(json.dumps(wanted.bind))  # with lists for tuples
            if bind is not None and body["bindVars"] != bind:
                self.wrong.append(f"{body['bindVars']} are not {bind}")
        elif wanted.body is not None and not wanted.body.items() <= body.items():
            self.wrong.append(f"{body} is not {wanted.body}")
        return wanted


@contextmanager
def played(*exchanges: Exchange) -> Iterator[Tape]:
    """Run a server with these exchanges, which must all take place in order."""
    tape = Tape(list(exchanges))

    class Handler(BaseHTTPRequestHandler):
        def reply(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            raw = self.rfile.read(size)
            tape.authorization.add(self.headers.get("Authorization", ""))
            exchange = tape.answer(
                self.command, self.path.partition("?")[0], json.loads(raw) if raw else None
            )
            content = json.dumps(exchange.answer).encode()
            self.send_response(exchange.status)
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = reply  # noqa: N815

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    tape.url = f"arangodb://ann:secret@127.0.0.1:{server.server_port}/db"
    try:
        yield tape
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert not tape.wrong, tape.wrong
    assert not tape.exchanges, f"were not asked: {tape.exchanges}"
