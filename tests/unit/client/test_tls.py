"""Encrypted connections: what is trusted, and a sentence with a remedy for all that goes wrong."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import threading
import time
from collections.abc import Awaitable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from tests.support.certificates import Authority
from tests.unit.client.clients import Ask, both
from tests.unit.client.servers import CONFIG, grpc_server, http_server, reply

from naiad.client import AsyncClient, Client
from naiad.errors import InvalidInput, Unavailable

SCHEMES = pytest.mark.parametrize("scheme", ["grpc", "http"])


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger")


@contextmanager
def server(
    scheme: str, identity: tuple[Path, Path] | None, clients: Path | None = None
) -> Generator[str]:
    """The address of a server; with an ``identity`` it encrypts, with ``clients`` it wants theirs.

    It says the configuration of the model ``half``.
    """
    if scheme == "grpc":
        credentials = None
        if identity:
            pair = [(identity[1].read_bytes(), identity[0].read_bytes())]
            roots = clients.read_bytes() if clients else None
            credentials = grpc.ssl_server_credentials(pair, roots, clients is not None)
        with grpc_server(credentials=credentials) as (address, _):
            yield address
        return
    context = None
    if identity:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*identity)
        if clients:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(clients)
    with http_server(lambda handler, body: reply(handler, 200, CONFIG), context) as address:
        yield address


def ask(client: Any) -> Any:
    return client.config("half")


def said(run: Ask, url: str, **options: Any) -> str:
    with pytest.raises(Unavailable) as raised:
        run(url, ask, retries=0, **options)
    message = str(raised.value)
    assert "\n" not in message
    assert len(message) < 260
    return message


@both
@SCHEMES
def test_the_authority_may_be_an_argument_or_in_the_environment(
    run: Ask, scheme: str, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server(scheme, authority.issue("127.0.0.1", "localhost")) as address:
        assert run(f"{scheme}s://{address}", ask, ca=authority.ca)["name"] == "half"
        local = address.replace("127.0.0.1", "localhost")
        assert run(f"{scheme}s://{local}", ask, ca=str(authority.ca))["name"] == "half"
        monkeypatch.setenv("NAIAD_CA", str(authority.ca))
        assert run(f"{scheme}s://{address}", ask)["name"] == "half"


@both
@SCHEMES
def test_an_explicit_authority_wins_and_an_unencrypted_url_needs_none(
    run: Ask,
    scheme: str,
    authority: Authority,
    stranger: Authority,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NAIAD_CA", str(stranger.ca))
    with server(scheme, authority.issue("127.0.0.1")) as address:
        assert run(f"{scheme}s://{address}", ask, ca=authority.ca)["name"] == "half"
    monkeypatch.setenv("NAIAD_CA", "/no/such.pem")
    with server(scheme, None) as address:
        assert run(f"{scheme}://{address}", ask)["name"] == "half"


@both
@SCHEMES
def test_an_authority_that_is_not_trusted_is_told_with_the_remedy(
    run: Ask, scheme: str, authority: Authority, stranger: Authority
) -> None:
    with server(scheme, authority.issue("127.0.0.1")) as address:
        for options in ({}, {"ca": stranger.ca}):
            message = said(run, f"{scheme}s://{address}", **options)
            assert message.startswith(
                f"the certificate of {scheme}s://{address} is not from an authority"
            )
            assert "ca=..., --ca or in NAIAD_CA" in message


@both
@SCHEMES
def test_an_expired_certificate_is_told(run: Ask, scheme: str, authority: Authority) -> None:
    with server(scheme, authority.issue("127.0.0.1", expired=True)) as address:
        message = said(run, f"{scheme}s://{address}", ca=authority.ca)
    assert message == (
        f"the certificate of {scheme}s://{address} has expired: its server needs a new one"
    )


@both
@SCHEMES
def test_a_certificate_for_another_host_is_told(
    run: Ask, scheme: str, authority: Authority
) -> None:
    with server(scheme, authority.issue("triton.example.org")) as address:
        message = said(run, f"{scheme}s://{address}", ca=authority.ca)
    assert f"the certificate of {scheme}s://{address} is for other hosts" in message
    assert "made that names 127.0.0.1" in message


@both
@SCHEMES
@pytest.mark.parametrize("asked", ["grpc", "http"])
def test_an_encrypted_url_of_a_plain_server_is_told(
    run: Ask, scheme: str, asked: str, authority: Authority
) -> None:
    with server(scheme, None) as address:
        message = said(run, f"{asked}s://{address}", ca=authority.ca)
    assert message == (
        f"{asked}s://{address} is not encrypted: use {asked}://{address}, or the encrypted port"
    )


@both
@SCHEMES
def test_a_plain_url_of_an_encrypted_server_is_told(
    run: Ask, scheme: str, authority: Authority
) -> None:
    with server(scheme, authority.issue("127.0.0.1")) as address:
        assert (
            f"encrypted, {'' if scheme == 'grpc' else 'the address is '}{scheme}s://{address}"
            in (said(run, f"{scheme}://{address}"))
        )


@both
@SCHEMES
def test_a_server_may_want_a_certificate_of_the_client(
    run: Ask, scheme: str, authority: Authority, stranger: Authority
) -> None:
    with server(scheme, authority.issue("127.0.0.1"), clients=authority.ca) as address:
        url = f"{scheme}s://{address}"
        certificate, key = authority.issue("client")
        own = {"certificate": certificate, "private_key": key}
        assert run(url, ask, ca=authority.ca, **own)["name"] == "half"
        assert "certificate= and private_key=" in said(run, url, ca=authority.ca)
        certificate, key = stranger.issue("client")
        others = {"certificate": certificate, "private_key": key}
        assert "certificate= and private_key=" in said(run, url, ca=authority.ca, **others)


@both
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_answer_that_comes_before_the_request_is_sent_is_read(
    run: Ask, scheme: str, authority: Authority
) -> None:
    """As Envoy refuses what is too large: it answers, reads no more, and hangs up."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("127.0.0.1"))
    refusal = b"HTTP/1.1 413 Payload Too Large\r\nContent-Length: 9\r\n\r\ntoo large"
    known = json.dumps(CONFIG).encode()
    known = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(known), known)

    def serve() -> None:
        with suppress(OSError):  # the listener is closed at the end
            while True:
                accepted, _ = listener.accept()
                with suppress(OSError):
                    near = context.wrap_socket(accepted, True) if scheme == "https" else accepted
                    asked = near.recv(4096)
                    near.sendall(known if asked.startswith(b"GET") else refusal)
                    time.sleep(0.3)  # the rest of the request does not fit into the buffers
                    near.close()
                    if not asked.startswith(b"GET"):
                        over.set()

    async def until_over(answer: Awaitable[Any]) -> Any:
        try:
            return await answer
        finally:  # else the event loop ends before the connection
            await asyncio.to_thread(over.wait)
            await asyncio.sleep(0.05)

    def infer(client: Any) -> Any:
        answer = client.infer("half", x=np.zeros(20_000_000, np.float32))
        return until_over(answer) if isinstance(client, AsyncClient) else answer

    over = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    options = {"ca": authority.ca} if scheme == "https" else {}
    try:
        with pytest.raises(InvalidInput, match="413: too large"):
            run(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}", infer, **options)
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize("url", ["grpcs://x", "https://x"])
def test_files_that_hold_something_else_are_refused_at_once(
    kind: Any, url: str, authority: Authority, stranger: Authority
) -> None:
    with pytest.raises(InvalidInput, match=r"test_tls.py: no certificates in PEM form"):
        kind(url, ca=__file__)
    certificate, _ = authority.issue("client")
    _, key = stranger.issue("client")
    with pytest.raises(InvalidInput, match="not a certificate in PEM form and its key"):
        kind(url, certificate=certificate, private_key=key)
