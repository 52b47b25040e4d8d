"""Proxies in the environment: never on this host, and named where one is in the way."""

from __future__ import annotations

import socket
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from tests.support.certificates import Authority
from tests.support.ports import free_port
from tests.unit.client.clients import Ask, both, half
from tests.unit.client.servers import CONFIG, grpc_server, http_server, reply

from naiad.client.address import Address
from naiad.client.proxies import proxy_to
from naiad.errors import Unavailable

VARIABLES = ("grpc_proxy", "https_proxy", "http_proxy", "all_proxy", "no_grpc_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


class Proxy:
    """A proxy that notes what it is asked for; with ``to`` it leads there, whatever was asked."""

    def __init__(self, answer: bytes, to: str = "") -> None:
        self.answer = answer
        self.to = to
        self.asked: list[str] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.ends: list[socket.socket] = []

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.listener.getsockname()[1]}"

    def accept(self) -> None:
        with suppress(OSError):  # the listener is closed at the end
            while True:
                near, _ = self.listener.accept()
                self.ends.append(near)
                threading.Thread(target=self.serve, args=(near,), daemon=True).start()

    def serve(self, near: socket.socket) -> None:
        with suppress(OSError):
            self.asked.append(near.recv(4096).decode(errors="replace").partition("\r\n")[0])
            near.sendall(self.answer)
            if not self.to:
                near.close()
                return
            host, _, port = self.to.partition(":")
            far = socket.create_connection((host, int(port)))
            self.ends.append(far)
            threading.Thread(target=self.forward, args=(far, near), daemon=True).start()
            self.forward(near, far)

    def forward(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)


@contextmanager
def a_proxy(answer: bytes = b"HTTP/1.1 403 Forbidden\r\n\r\n", to: str = "") -> Generator[Proxy]:
    proxy = Proxy(answer, to)
    accepting = threading.Thread(target=proxy.accept, daemon=True)
    accepting.start()
    try:
        yield proxy
    finally:
        proxy.listener.shutdown(socket.SHUT_RDWR)
        proxy.listener.close()
        accepting.join()
        for end in proxy.ends:
            end.close()


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with a_proxy() as proxy:
        yield proxy


@both
def test_calls_to_this_host_go_through_no_proxy(
    run: Ask, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in VARIABLES[:4]:
        monkeypatch.setenv(name, f"http://{proxy.target}")
        monkeypatch.setenv(name.upper(), f"http://{proxy.target}")

    def ask(client: Any) -> Any:
        return client.config("half")

    with grpc_server() as (address, _):
        for host in ("127.0.0.1", "localhost"):
            assert run(address.replace("127.0.0.1", host), half)["y"].tolist() == [1.0, 2.0]
    with grpc_server(socket_at=f"{tmp_path}/s") as (url, _):
        assert run(url, half)["y"].tolist() == [1.0, 2.0]
    with http_server(lambda handler, body: reply(handler, 200, CONFIG)) as address:
        for host in ("127.0.0.1", "localhost"):
            assert run(f"http://{address.replace('127.0.0.1', host)}", ask) == CONFIG
    assert proxy.asked == []


@both
@pytest.mark.parametrize("variable", ["grpc_proxy", "https_proxy", "http_proxy"])
def test_grpc_elsewhere_goes_through_the_proxy(
    run: Ask, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with grpc_server() as (address, _), a_proxy(b"HTTP/1.1 200 OK\r\n\r\n", address) as proxy:
        monkeypatch.setenv(variable, f"http://{proxy.target}")
        assert run("triton.invalid:8001", half)["y"].tolist() == [1.0, 2.0]
        assert proxy.asked == ["CONNECT triton.invalid:8001 HTTP/1.1"]


@both
@pytest.mark.parametrize("variable", ["grpc_proxy", "https_proxy", "http_proxy"])
@pytest.mark.parametrize("scheme", ["grpc", "grpcs"])
def test_a_proxy_that_refuses_is_named_with_the_remedy(
    run: Ask, scheme: str, variable: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, f"http://me:secret@{proxy.target}")
    with pytest.raises(Unavailable) as raised:
        run(f"{scheme}://triton.invalid:8001", half, retries=0)
    assert str(raised.value) == (
        f"{scheme}://triton.invalid:8001 cannot be reached through the proxy {proxy.target} of the "
        f"environment's {variable} (it answered 403); if it needs no proxy, add triton.invalid to "
        "no_proxy"
    )


@both
def test_a_proxy_that_is_not_there_is_named(run: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    target = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("http_proxy", f"http://{target}")
    with pytest.raises(Unavailable) as raised:
        run("triton.invalid:8001", half, retries=0)
    assert (
        f"through the proxy {target} of the environment's http_proxy (Connection refused)"
        in str(raised.value)
    )


@both
def test_a_wrong_certificate_behind_a_proxy_is_still_told(
    run: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = Authority(tmp_path).issue("triton.invalid")
    credentials = grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])
    with (
        grpc_server(credentials=credentials) as (address, _),
        a_proxy(b"HTTP/1.1 200 OK\r\n\r\n", address) as proxy,
    ):
        monkeypatch.setenv("https_proxy", f"http://{proxy.target}")
        with pytest.raises(Unavailable, match=r"the certificate of .* is not from an authority"):
            run("grpcs://triton.invalid:8443", half, retries=0)


@both
@pytest.mark.parametrize("variable", ["no_grpc_proxy", "no_proxy"])
def test_no_proxy_is_respected_in_what_is_done_and_said(
    run: Ask, variable: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://{proxy.target}")
    monkeypatch.setenv(variable, "other.org, .invalid")
    with pytest.raises(Unavailable, match="no such host is known"):
        run("triton.invalid:8001", half, retries=0)
    assert proxy.asked == []


@pytest.mark.parametrize(
    ("host", "excepted"),
    [
        ("a.example.org", True),
        ("example.org", True),
        ("example.org.uk", False),
        ("10.1.2.3", True),
        ("10.2.2.3", False),
        ("192.168.0.1", True),
    ],
)
def test_exceptions_are_ends_of_names_and_networks(
    host: str, excepted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", "Example.org, 10.1.0.0/16,,192.168.0.1")
    assert (proxy_to(Address.parse(f"{host}:1")) is None) == excepted


@pytest.mark.parametrize("value", ["proxy:3128", "socks5://proxy:1080", "http://[", ""])
def test_what_grpc_does_not_take_for_a_proxy_is_none(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", value)
    assert proxy_to(Address.parse("host:1")) is None
