"""A cluster's balancer in front of a pod's gate, each a real Envoy."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import pytest
from tests.support.gate import SERVICE, free_ports, running

from naiad.gate import GateSettings, balancer, envoy
from naiad.gate.balancer import CERTIFICATE, PRIVATE_KEY
from naiad.gate.certificates import make_certificate
from naiad.gate.keys import add_key


class Ready(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def health_port() -> Iterator[int]:
    """Run the port on which a pod reports ready."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Ready)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def balanced(config: dict[str, Any], port: int, health: int, directory: Path) -> Iterator[int]:
    """Run a balancer whose pod is at ``port``; yield its port."""
    own, status, admin = free_ports(3)
    text = json.dumps(config)
    for old, new in (
        *(("0.0.0.0", "127.0.0.1"), ('"port_value": 9901', f'"port_value": {admin}')),
        (f'"pods", "port_value": {8001}', f'"127.0.0.1", "port_value": {port}'),
        ('{"port_value": 8003}', f'{{"port_value": {health}}}'),
        ('"port_value": 8001', f'"port_value": {own}'),
        ('"port_value": 8003', f'"port_value": {status}'),
    ):
        assert old in text, old
        text = text.replace(old, new)
    path = directory / "balancer.json"
    path.write_text(text)
    command = [str(envoy()), "-c", str(path), "--disable-hot-restart", "--concurrency", "1"]
    with subprocess.Popen([*command, "--log-level", "error"]) as process:
        try:
            yield own
        finally:
            process.terminate()


def answered(channel: grpc.Channel, key: str, within: float = 20) -> bytes:
    """Return the answer through a balancer that may still be starting."""
    deadline = time.monotonic() + within
    call = channel.unary_unary(SERVICE + "ModelInfer")
    while True:
        try:
            return call(b"x", metadata=(("x-api-key", key),), timeout=5)
        except grpc.RpcError as error:  # noqa: PERF203
            if error.code() is not grpc.StatusCode.UNAVAILABLE or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def test_keys_pass_through_the_balancer_and_are_judged_in_the_pod(
    keys: Path, tmp_path: Path
) -> None:
    key = add_key(keys, "alice")
    config = balancer.balancer("pods", tls=False)
    with (
        running(GateSettings(api_keys=keys)) as gate,
        health_port() as health,
        balanced(config, gate.port, health, tmp_path) as port,
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        assert answered(channel, key) == b"x"
        with pytest.raises(grpc.RpcError) as caught:
            answered(channel, "naiad_" + "x" * 43)
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert "x-api-key" not in gate.behind.seen[-1].headers


@pytest.mark.slow
def test_tls_is_spoken_on_both_sides_by_the_certificate_of_the_secret(
    keys: Path, tmp_path: Path
) -> None:
    key = add_key(keys, "alice")
    chain, private = make_certificate(["localhost"], tmp_path / "secret", 1)
    other = make_certificate(["localhost"], tmp_path / "other", 1)
    text = json.dumps(balancer.balancer("pods", tls=True))
    text = text.replace(CERTIFICATE, str(chain)).replace(PRIVATE_KEY, str(private))
    config = json.loads(text.replace("/etc/naiad/tls", str(chain.parent)))
    credentials = grpc.ssl_channel_credentials(chain.read_bytes())
    with health_port() as health:
        for pair, right in (((chain, private), True), (other, False)):
            with (
                running(GateSettings(api_keys=keys, tls_cert=pair[0], tls_key=pair[1])) as gate,
                balanced(config, gate.port, health, tmp_path) as port,
                grpc.secure_channel(f"localhost:{port}", credentials) as channel,
            ):
                if right:
                    assert answered(channel, key) == b"x"
                else:
                    with pytest.raises(grpc.RpcError):
                        answered(channel, key, within=3)
                    assert gate.behind.seen == []
