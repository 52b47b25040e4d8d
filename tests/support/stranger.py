"""Hostile requests in raw bytes."""

from __future__ import annotations

import contextlib
import gzip
import io
import socket
import ssl
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

Target = "tuple[str, int] | Path"


class Answer(NamedTuple):
    """An answer; status 0 means that the connection was closed without one."""

    status: int
    body: bytes


def connect(
    target: tuple[str, int] | Path, *, tls: ssl.SSLContext | None = None, timeout: float = 60.0
) -> socket.socket:
    """Connect to a port of this machine, or to a Unix socket."""
    if isinstance(target, Path):
        plain = socket.socket(socket.AF_UNIX)
        plain.settimeout(timeout)
        plain.connect(str(target))
        return plain
    plain = socket.create_connection(target, timeout=timeout)
    return tls.wrap_socket(plain, server_hostname="localhost") if tls else plain


def send(
    target: tuple[str, int] | Path,
    pieces: Iterable[bytes],
    *,
    tls: ssl.SSLContext | None = None,
    timeout: float = 60.0,
) -> Answer:
    """Write pieces of an HTTP/1.1 request, and read any answer."""
    with contextlib.closing(connect(target, tls=tls, timeout=timeout)) as connection:
        # The server may answer and close before it has read everything.
        with contextlib.suppress(OSError):
            for piece in pieces:
                connection.sendall(piece)
        return read_answer(connection)


def read_answer(connection: socket.socket) -> Answer:
    """Read the next answer on a connection."""
    data = b""
    try:
        while b"\r\n\r\n" not in data:
            more = connection.recv(65536)
            if not more:
                return Answer(0, data)
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        while len(body) < length:
            more = connection.recv(65536)
            if not more:
                break
            body += more
    except OSError:
        return Answer(0, data)
    return Answer(int(head.split()[1]), body)


def request(
    method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> bytes:
    """Return an HTTP/1.1 request as bytes."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body and "Content-Length" not in (headers or {}):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def one_byte_chunks(
    path: str, count: int, headers: dict[str, str] | None = None
) -> Iterator[bytes]:
    """Yield a request whose body comes in ``count`` chunks of one byte each."""
    yield request("POST", path, headers={"Transfer-Encoding": "chunked", **(headers or {})})
    block = b"1\r\n1\r\n" * 10_000
    for _ in range(count // 10_000):
        yield block
    yield b"0\r\n\r\n"


def nested_json(path: str, depth: int, headers: dict[str, str] | None = None) -> Iterator[bytes]:
    """Yield a request of deeply nested JSON arrays."""
    yield request("POST", path, b'{"inputs":' + b"[" * depth, headers)


def gzip_bomb(path: str, size: int, headers: dict[str, str] | None = None) -> Iterator[bytes]:
    """Yield a request whose body unpacks to ``size`` bytes."""
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=9) as file:
        for _ in range(size >> 20):
            file.write(bytes(1 << 20))
    yield request("POST", path, packed.getvalue(), {"Content-Encoding": "gzip", **(headers or {})})


@contextlib.contextmanager
def half_open(target: tuple[str, int] | Path, count: int) -> Iterator[list[socket.socket]]:
    """Open connections that send only half a request line."""
    with contextlib.ExitStack() as stack:
        held: list[socket.socket] = []
        for _ in range(count):
            with contextlib.suppress(OSError):
                one = stack.enter_context(contextlib.closing(connect(target, timeout=5)))
                one.sendall(b"POST /v2/models/identity/in")
                held.append(one)
        yield held
