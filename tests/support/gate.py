"""The real Envoy with the gate's configuration, in front of a small server on Unix sockets."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Any

import grpc
from tests.support.ports import free_ports

from naiad.gate import GateSettings, Listeners, Upstream, check, is_ready, refresh, write

CONTROL_KEY = "the-control-key-of-this-test"
SERVICE = "/inference.GRPCInferenceService/"


@dataclass(frozen=True)
class Seen:
    """A request as received by the server behind the gate."""

    path: str
    headers: dict[str, str]
    body: bytes


class Behind:
    """An HTTP and gRPC server that answers everything and records its requests."""

    def __init__(self, directory: Path, *, ui: bool = False) -> None:
        self.seen: list[Seen] = []
        self.before: Callable[[], None] = lambda: None
        names = ("http", "grpc", "metrics", *(["ui"] if ui else []))
        self.upstream = Upstream(*(directory / name for name in names))
        self._http = _HttpServer(str(self.upstream.http), self._handler())
        self._metrics = _HttpServer(str(self.upstream.metrics), self._handler())
        largest = [("grpc.max_receive_message_length", 2**31 - 1)]  # as in Triton
        self._grpc = grpc.server(ThreadPoolExecutor(8), options=largest)
        self._grpc.add_generic_rpc_handlers((_AnyMethod(self),))
        self._grpc.add_insecure_port(f"unix:{self.upstream.grpc}")
        self._servers = [self._http, self._metrics]
        if self.upstream.ui is not None:
            self._servers.append(_HttpServer(str(self.upstream.ui), self._handler()))
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        self._grpc.start()

    def close(self) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()
        self._grpc.stop(None).wait()

    def _handler(behind) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                length = self.headers.get("content-length")
                body = self.rfile.read(int(length or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                behind.seen.append(Seen(self.path, headers, body))
                behind.before()
                reply = json.dumps({"path": self.path, "length": len(body)}).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            do_GET = do_POST = do_HEAD = answer  # noqa: N815

            def address_string(self) -> str:
                return "unix"

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler


class _HttpServer(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a connection that the gate closed


class _AnyMethod(grpc.GenericRpcHandler):
    def __init__(self, behind: Behind) -> None:
        self.behind = behind

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        headers = {key: str(value) for key, value in details.invocation_metadata}

        def one(request: bytes, context: grpc.ServicerContext) -> bytes:
            self.behind.seen.append(Seen(details.method, headers, request))
            self.behind.before()
            return request

        def many(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
            for request in requests:
                self.behind.seen.append(Seen(details.method, headers, request))
                yield request

        if details.method.endswith("ModelStreamInfer"):
            return grpc.stream_stream_rpc_method_handler(many)
        return grpc.unary_unary_rpc_method_handler(one)


@dataclass
class Answer:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> str:
        return json.loads(self.body)["error"]


@dataclass
class Gate:
    """A running gate; ``behind`` is what it protects."""

    settings: GateSettings
    behind: Behind
    directory: Path
    port: int
    other_port: int
    metrics_port: int
    process: subprocess.Popen[bytes]

    def connect(self, timeout: float = 20) -> socket.socket:
        """Open a bare connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout)

    def connection(self, context: ssl.SSLContext | None = None) -> http.client.HTTPConnection:
        if context:
            return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=20, context=context)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        context: ssl.SSLContext | None = None,
    ) -> Answer:
        """Send one request on its own connection."""
        connection = self.connection(context)
        try:
            connection.request(method, path, body, headers or {})
            reply = connection.getresponse()
            found = {name.lower(): value for name, value in reply.getheaders()}
            return Answer(reply.status, found, reply.read())
        finally:
            connection.close()

    @contextmanager
    def channel(self, credentials: grpc.ChannelCredentials | None = None) -> Iterator[grpc.Channel]:
        options = [("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", -1)]
        address = f"127.0.0.1:{self.port}"
        channel = (
            grpc.secure_channel(address, credentials, options)
            if credentials
            else grpc.insecure_channel(address, options)
        )
        with channel:
            yield channel

    def call(
        self,
        method: str,
        message: bytes = b"",
        metadata: dict[str, str] | None = None,
        credentials: grpc.ChannelCredentials | None = None,
        **more: Any,
    ) -> bytes:
        """Make one gRPC call on its own channel; ``method`` may be a whole path."""
        path = method if method.startswith("/") else SERVICE + method
        with self.channel(credentials) as channel:
            call = channel.unary_unary(path)
            return call(message, timeout=20, metadata=tuple((metadata or {}).items()), **more)

    def refused(self, *args: Any, **kwargs: Any) -> tuple[grpc.StatusCode, str]:
        """Return the status and message of a call that fails."""
        try:
            self.call(*args, **kwargs)
        except grpc.RpcError as error:
            return error.code(), error.details()
        raise AssertionError("the call was answered")

    def refresh(self) -> list[str]:
        return refresh(self.settings, self.directory)

    def until(self, condition: Callable[[], bool], within: float = 20) -> None:
        """Wait for the effect of a change."""
        assert eventually(condition, within)


@contextmanager
def running(settings: GateSettings, *, ui: bool = False) -> Iterator[Gate]:
    """Run a gate with ``settings`` on its own ports, in front of a page, too, if ``ui``."""
    with tempfile.TemporaryDirectory(prefix="gate-") as name:
        root = Path(name)
        check(settings, beyond_loopback=False)
        behind = Behind(root, ui=ui)
        port, other_port, metrics_port = free_ports(3)
        addresses = [("127.0.0.1", port), ("127.0.0.1", other_port)]
        listeners = Listeners(addresses, settings.socket, ("127.0.0.1", metrics_port))
        directory = root / "envoy"
        command = write(settings, listeners, behind.upstream, CONTROL_KEY, directory)
        with (root / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 60
            while not is_ready(directory):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError((root / "log").read_text())
                time.sleep(0.02)
            yield Gate(settings, behind, directory, port, other_port, metrics_port, process)
            # -9: ended by the test itself.
            assert process.poll() in (None, -9), (root / "log").read_text()
        finally:
            process.terminate()
            process.wait(30)
            behind.close()


def eventually(condition: Callable[[], bool], within: float = 20) -> bool:
    """Return whether a condition becomes true in time."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def read_answer(connection: socket.socket) -> tuple[int, bytes]:
    """Return status and content of one answer, whose connection the gate may close."""
    connection.settimeout(30)
    found = b""
    while chunk := connection.recv(65536):
        found += chunk
        head, separator, body = found.partition(b"\r\n\r\n")
        if separator:
            fields = head.lower().split(b"content-length: ")
            if len(fields) > 1 and len(body) >= int(fields[1].split(b"\r\n")[0]):
                return int(head.split()[1]), body
    head, _, body = found.partition(b"\r\n\r\n")
    return int(head.split()[1]) if head else 0, body
