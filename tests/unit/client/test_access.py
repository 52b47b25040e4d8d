"""The sources of keys, the calls that carry them, and their secrecy."""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import grpc
import pytest
from tests.support.ports import free_port
from tests.unit.client.clients import Ask, both, half
from tests.unit.client.servers import CONFIG, grpc_server, http_server, reply

from naiad import control_key
from naiad.client import AsyncClient, Client
from naiad.client.access import Access
from naiad.errors import InvalidInput, NaiadError, NotAllowed

KEY = "naiad_0123456789abcdef"
CONTROL = "the-control-key-of-this-server"


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("NAIAD_API_KEY", "NAIAD_CONTROL_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


@pytest.fixture(params=["argument", "environment"])
def options(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return options with the API key as an argument or in the environment."""
    if request.param == "argument":
        monkeypatch.setenv("NAIAD_API_KEY", "another")
        return {"api_key": KEY}
    monkeypatch.setenv("NAIAD_API_KEY", f"{KEY}\n")  # as from a file
    return {}


@both
def test_an_api_key_goes_with_every_call(run: Ask, options: dict[str, str]) -> None:
    seen: list[str | None] = []

    def answer(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        seen.append(handler.headers["x-api-key"])
        reply(handler, 200, CONFIG)

    with grpc_server() as (address, server):
        run(address, half, **options)
    assert server.headers["x-api-key"] == server.headers_of["ModelInfer"]["x-api-key"] == KEY
    with http_server(answer) as address:
        run(f"http://{address}", lambda client: client.config("half"), **options)
    assert seen == [KEY]


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize("scheme", ["grpc", "http"])
def test_an_api_key_leaves_this_host_encrypted_only(
    kind: Any, scheme: str, options: dict[str, str]
) -> None:
    with pytest.raises(InvalidInput) as raised:
        kind(f"{scheme}://gpu.example.org:8001", **options)
    message = str(raised.value)
    assert message.startswith("api_key" if options else "the API key in NAIAD_API_KEY")
    assert f"use {scheme}s://gpu.example.org:8001" in message
    assert 'headers={"x-api-key": ...}' in message
    assert KEY not in message
    for url in (f"{scheme}s://gpu.example.org", f"{scheme}://[::1]:1", "unix:/x", "127.0.0.2:1"):
        kind(url, **options)


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_whoever_knows_the_network_sends_it_as_a_header(
    kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAIAD_API_KEY", "another")
    kind("gpu.example.org:8001", headers={"X-API-Key": KEY})


@both
@pytest.mark.parametrize("value", ["x\ny", " xyz", "xyz\x00", "schlüssel"])
def test_a_key_that_no_header_can_carry_is_refused_without_showing_it(run: Ask, value: str) -> None:
    for options in ({"api_key": value}, {"headers": {"x-token": value}}):
        with pytest.raises(InvalidInput, match="printable ASCII") as raised:
            run("localhost", half, **options)
        assert value not in str(raised.value)


@both
@pytest.mark.parametrize("scheme", ["grpc", "http"])
def test_no_error_and_no_repr_shows_a_key(
    run: Ask, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAIAD_CONTROL_KEY", CONTROL)
    shown: list[str] = [repr(Access(api_key=KEY, headers={"x": KEY}))]

    def refuse(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        reply(handler, 403, b"no")

    def ask(client: Any) -> Any:
        shown.extend([repr(client), repr(client.model("half")), client.url])
        return client.models()

    with http_server(refuse) as address:
        for url in (f"{scheme}://{address}", f"{scheme}://127.0.0.1:{free_port()}"):
            with pytest.raises(NaiadError) as raised:
                run(url, ask, retries=0, api_key=KEY)
            error: BaseException | None = raised.value
            shown.append("".join(traceback.format_exception(error)))
            while error is not None:
                shown.append(repr(error))
                error = error.__cause__
    assert not [text for text in shown if KEY in text or CONTROL in text]


@both
def test_the_control_key_of_this_host_goes_with_the_calls_that_need_it(run: Ask) -> None:
    with grpc_server() as (address, server):
        port = int(address.rpartition(":")[2])
        control_key.publish_key(CONTROL, [port])
        for host in ("127.0.0.1", "localhost"):
            run(f"{host}:{port}", lambda client: client.models())
            assert server.headers_of["RepositoryIndex"][control_key.GRPC_HEADER] == CONTROL
        run(address, lambda client: client.load("half"))
        assert server.headers_of["RepositoryModelLoad"][control_key.GRPC_HEADER] == CONTROL
        run(address, half)
        assert control_key.GRPC_HEADER not in server.headers_of["ModelInfer"]
        assert control_key.GRPC_HEADER not in server.headers
        # A server that is started again has a new key.
        with Client(address) as client:
            for key in (CONTROL, CONTROL[::-1]):
                control_key.publish_key(key, [port])
                client.models()
                assert server.headers_of["RepositoryIndex"][control_key.GRPC_HEADER] == key


@both
def test_the_control_key_goes_over_http_too(run: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, str | None] = {}

    def answer(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        seen[handler.path] = handler.headers[control_key.HTTP_HEADER]
        models = [{"name": "half", "version": "1", "state": "READY"}]
        reply(handler, 200, json.dumps(models).encode() if "index" in handler.path else CONFIG)

    with http_server(answer) as address:
        control_key.publish_key(CONTROL, [int(address.rpartition(":")[2])])
        run(f"http://{address}", lambda client: client.unload("half"))
        run(f"http://{address}", lambda client: client.config("half"))
        assert seen == {
            "/v2/repository/index": CONTROL,
            "/v2/repository/models/half/unload": CONTROL,
            "/v2/models/half/config": None,
        }
        monkeypatch.setenv("NAIAD_CONTROL_KEY", "the-environment's")
        run(f"http://{address}", lambda client: client.models())
        assert seen["/v2/repository/index"] == "the-environment's"


@both
def test_a_server_at_a_unix_socket_is_asked_and_has_its_control_key_beside_it(
    run: Ask, tmp_path: Path
) -> None:
    socket = tmp_path / "grpc:8001"  # as Triton names them
    control_key.publish_key(CONTROL, [socket])
    with grpc_server(socket_at=str(socket)) as (_, server):
        for url in (f"unix:{socket}", f"unix://{socket}"):
            assert run(url, half)["y"].tolist() == [1.0, 2.0]
        run(f"unix:{socket}", lambda client: client.models())
    assert server.headers_of["RepositoryIndex"][control_key.GRPC_HEADER] == CONTROL


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    before = Path.cwd()
    os.chdir(tmp_path)
    yield tmp_path
    os.chdir(before)


@both
def test_the_path_of_a_socket_may_be_relative_or_odd(run: Ask, elsewhere: Path) -> None:
    for name in ("here.sock", "a b%20?#é.sock"):
        path = elsewhere / name
        quoted = str(path).replace("%", "%25").replace("?", "%3F").replace("#", "%23")
        with grpc_server(socket_at=quoted):
            assert path.is_socket()
            assert run(f"unix:{name}", half)["y"].tolist() == [1.0, 2.0]


@both
def test_a_socket_that_is_not_there_is_told(run: Ask, tmp_path: Path) -> None:
    url = f"unix:{tmp_path}/no.sock"
    with pytest.raises(NaiadError) as raised:
        run(url, half, retries=0)
    assert str(raised.value) == (
        f"no server answers at {url} (No such file or directory); is `naiad serve` running, and "
        "with this --socket?"
    )


RESTRICTED = {"error": f"This API is restricted, expecting header '{control_key.HTTP_HEADER}'"}


@both
@pytest.mark.parametrize("key", [None, CONTROL])
def test_who_lacks_the_control_key_is_told_where_it_is(
    run: Ask, key: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if key:
        monkeypatch.setenv("NAIAD_CONTROL_KEY", key)
    with (
        http_server(lambda handler, body: reply(handler, 403, RESTRICTED)) as address,
        pytest.raises(NotAllowed) as raised,
    ):
        run(f"http://{address}", lambda client: client.load("half"))
    message = str(raised.value)
    assert message.startswith(f"http://{address} lists, loads and unloads models only for its own")
    assert "NAIAD_CONTROL_KEY" in message
    assert "an API key that may control" in message
    assert ("another server's" in message) == (key is not None)


@both
def test_who_has_no_key_is_told_how_to_give_one_and_who_has_a_wrong_one_what_was_said(
    run: Ask,
) -> None:
    tries = 0

    def refuse(context: grpc.ServicerContext) -> None:
        nonlocal tries
        tries += 1
        context.abort(grpc.StatusCode.UNAUTHENTICATED, "Client authentication failed.")

    with grpc_server(refuse) as (address, _):
        with pytest.raises(NotAllowed, match=r"wants an API key, as api_key=\.\.\. or in NAIAD_"):
            run(address, half)
        with pytest.raises(
            NotAllowed, match="does not allow this with the key that was sent: Clie"
        ):
            run(address, half, api_key=KEY)
    assert tries == 2  # such a refusal is not retried
