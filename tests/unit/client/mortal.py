"""A server in its own process, to be killed: ``python -m tests.unit.client.mortal``."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.support.markdown import ROOT
from tests.support.ports import free_port
from tests.unit.client.servers import CONFIG, grpc_server, reply

_NUMBERS = 1000  # in each request; the answer has half of them


class Mortal:
    """The model ``half`` on a port that stays the same after restarts."""

    def __init__(self, scheme: str) -> None:
        self.scheme = scheme
        self.port = free_port()
        self.url = f"{scheme}://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [sys.executable, "-m", __name__, self.scheme, str(self.port)]
        self.process = subprocess.Popen(command, cwd=ROOT)
        while self.process.poll() is None:
            with suppress(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            time.sleep(0.05)
        raise AssertionError("the server has not started")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def mortal(scheme: str) -> Generator[Mortal]:
    server = Mortal(scheme)
    server.start()
    try:
        yield server
    finally:
        server.kill()


class _Slowly(BaseHTTPRequestHandler):
    """A handler that answers in two halves, so that a death may come between."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        reply(self, 200, CONFIG)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        size = 4 * _NUMBERS // 2
        parameters = {"binary_data_size": size}
        output = {"name": "y", "datatype": "FP32", "shape": [size // 4], "parameters": parameters}
        head = json.dumps({"outputs": [output]}).encode()
        time.sleep(0.02)
        self.send_response(200)
        self.send_header("Inference-Header-Content-Length", str(len(head)))
        self.send_header("Content-Length", str(len(head) + size))
        self.end_headers()
        for part in (head, bytes(size // 2), bytes(size // 2)):
            self.wfile.write(part)
            time.sleep(0.02)

    def log_message(self, format: str, *args: object) -> None:
        pass


def main() -> None:
    scheme, port = sys.argv[1], int(sys.argv[2])
    if scheme == "grpc":
        with grpc_server(lambda context: time.sleep(0.05), port=port):
            time.sleep(600)
    ThreadingHTTPServer(("127.0.0.1", port), _Slowly).serve_forever()


if __name__ == "__main__":
    main()
