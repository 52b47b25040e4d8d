"""The clients, blocking and asyncio, against servers that behave badly on purpose."""

from __future__ import annotations

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler
from typing import Any

import grpc
import numpy as np
import pytest
from numpy.typing import NDArray
from tests.support.ports import free_port
from tests.unit.client.clients import Ask, both, half
from tests.unit.client.servers import (
    CONFIG,
    grpc_server,
    http_server,
    reply,
)

from naiad import application
from naiad.client import AsyncClient, AsyncModelClient, Client, ModelClient
from naiad.errors import (
    DeadlineExceeded,
    InvalidInput,
    NaiadError,
    PipelineError,
    Unavailable,
)


@both
def test_a_request_is_answered(run: Ask) -> None:
    with grpc_server() as (address, server):
        answer = run(address, half)
        assert answer["y"].tolist() == [1.0, 2.0]
        assert server.calls == ["ModelConfig", "ModelInfer"]


@both
def test_a_bad_request_is_never_sent(run: Ask) -> None:
    with grpc_server() as (address, server):
        with pytest.raises(InvalidInput, match="x is text"):
            run(address, lambda client: client.infer("half", x=["a"]))
        assert server.calls == ["ModelConfig"]


@both
def test_an_unavailable_server_is_asked_again(run: Ask) -> None:
    failures = iter([True, True, False])

    def before(context: grpc.ServicerContext) -> None:
        if next(failures):
            context.abort(grpc.StatusCode.UNAVAILABLE, "the model is being replaced")

    with grpc_server(before) as (address, server):
        assert run(address, half)["y"].tolist() == [1.0, 2.0]
        assert server.calls.count("ModelInfer") == 3


@both
def test_a_server_that_stays_unavailable_is_reported_in_its_words(run: Ask) -> None:
    def before(context: grpc.ServicerContext) -> None:
        context.abort(grpc.StatusCode.UNAVAILABLE, "the model is being replaced")

    with grpc_server(before) as (address, server):
        with pytest.raises(Unavailable, match=r"^the model is being replaced$"):
            run(address, half, retries=1)
        assert server.calls.count("ModelInfer") == 2


@both
def test_a_server_that_starts_late_is_found(run: Ask) -> None:
    port = free_port()

    def start_late() -> None:
        time.sleep(0.5)
        with grpc_server(port=port):
            stop.wait(30)

    stop = threading.Event()
    thread = threading.Thread(target=start_late)
    thread.start()
    try:
        answer = run(f"127.0.0.1:{port}", half, retries=6)
        assert answer["y"].tolist() == [1.0, 2.0]
    finally:
        stop.set()
        thread.join()


@both
@pytest.mark.parametrize("scheme", ["grpc", "http"])
def test_no_server_is_told_with_its_url_and_what_to_do(run: Ask, scheme: str) -> None:
    url = f"{scheme}://127.0.0.1:{free_port()}"
    with pytest.raises(Unavailable) as raised:
        run(url, half, retries=0)
    assert str(raised.value) == (
        f"no server answers at {url} (Connection refused); "
        "is `naiad serve` running, and on this port?"
    )


@both
@pytest.mark.parametrize("scheme", ["grpc", "http"])
def test_retries_end_within_the_timeout(run: Ask, scheme: str) -> None:
    began = time.monotonic()
    with pytest.raises((Unavailable, DeadlineExceeded)):
        run(f"{scheme}://127.0.0.1:{free_port()}", half, retries=1000, timeout=1.0)
    assert time.monotonic() - began < 10


@both
@pytest.mark.parametrize("scheme", ["grpc", "http"])
def test_a_silent_server_runs_into_the_deadline(run: Ask, scheme: str) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"{scheme}://127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        with pytest.raises(DeadlineExceeded, match=f"no answer from {url} within 0.3 s"):
            run(url, lambda client: half(client, timeout=0.3))
        assert time.monotonic() - began < 10


@both
def test_a_slow_model_runs_into_the_deadline_of_the_whole_call(run: Ask) -> None:
    with (
        grpc_server(lambda context: time.sleep(1)) as (address, _),
        pytest.raises(DeadlineExceeded, match=r"within 0\.4 s"),
    ):
        run(address, half, timeout=0.4)


@both
def test_large_messages_pass(run: Ask) -> None:
    large = np.arange(6_000_000, dtype=np.float32)
    with grpc_server() as (address, _):
        answer = run(address, lambda client: client.infer("half", x=large))
    np.testing.assert_array_equal(answer["y"], large[:3_000_000])


@both
def test_http_on_a_grpc_port_is_explained(run: Ask) -> None:
    explained = "does not speak HTTP/1; if it is Triton's gRPC port, the address is grpc://"
    with grpc_server() as (address, _), pytest.raises(InvalidInput, match=explained + address):
        run(f"http://{address}", half)


@both
def test_grpc_on_an_http_port_is_explained(run: Ask) -> None:
    with (
        http_server(lambda handler, body: reply(handler, 200, b"")) as address,
        pytest.raises(Unavailable, match=f"Triton's HTTP port, the address is http://{address}"),
    ):
        run(address, half, retries=0)


@both
@pytest.mark.parametrize(
    ("status", "body", "kind", "message"),
    [
        (404, b"<html>nothing</html>", InvalidInput, "is this Triton's HTTP port"),
        (200, b"# metrics", InvalidInput, "is not Triton's"),
        (502, b"bad gateway", Unavailable, "answered HTTP 502: bad gateway"),
        (500, b"", PipelineError, "answered HTTP 500"),
        (500, {"error": "the model broke"}, PipelineError, "^the model broke$"),
        (400, {"error": "x is wrong"}, InvalidInput, "^x is wrong$"),
    ],
)
def test_what_http_servers_and_proxies_answer_is_understood(
    run: Ask, status: int, body: Any, kind: type[NaiadError], message: str
) -> None:
    with (
        http_server(lambda handler, sent: reply(handler, status, body)) as address,
        pytest.raises(kind, match=message),
    ):
        run(f"http://{address}", half, retries=0)


@both
def test_a_connection_lost_midway_is_retried_over_http(run: Ask) -> None:
    asked: list[str] = []

    def answer(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        asked.append(handler.path)
        if len(asked) == 1:
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)
        else:
            reply(handler, 200, CONFIG)

    with http_server(answer) as address:
        assert run(f"http://{address}/base", lambda client: client.config("half")) == CONFIG
    assert asked == ["/base/v2/models/half/config"] * 2


@both
def test_headers_go_with_each_call(run: Ask) -> None:
    headers = {"Authorization": "Bearer secret"}
    with grpc_server() as (address, server):
        run(address, half, headers=headers)
        assert server.headers["authorization"] == "Bearer secret"

    seen: list[str | None] = []

    def answer(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        seen.append(handler.headers["Authorization"])
        reply(handler, 200, CONFIG)

    with http_server(answer) as address:
        run(f"http://{address}", lambda client: client.config("half"), headers=headers)
    assert seen == ["Bearer secret"]


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize(
    ("url", "options", "message"),
    [
        ("localhost", {"timeout": 0}, "timeout is 0 s"),
        ("localhost", {"retries": -1}, "retries is -1"),
        ("localhost", {"ca": __file__}, "is not encrypted.*use grpcs://localhost:8001"),
        ("https://x", {"ca": "/no/such.pem"}, "/no/such.pem: no such file"),
        ("grpcs://x", {"certificate": __file__}, "belong together"),
    ],
)
def test_wrong_settings_are_refused_at_once(
    kind: Any, url: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        kind(url, **options)


def test_one_client_serves_many_threads() -> None:
    with grpc_server() as (address, _), Client(address) as client:
        answers: dict[int, NDArray[Any]] = {}

        def ask(number: int) -> None:
            answers[number] = client.infer("half", x=[number, 0])["y"]

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert {number: answer.tolist() for number, answer in answers.items()} == {
        number: [number] for number in range(16)
    }


def test_many_requests_can_end_or_go_on_at_an_error() -> None:
    requests: list[dict[str, Any]] = [{"x": [1, 0]}, {"x": ["bad"]}, {"x": [3, 0]}]
    with grpc_server() as (address, _), Client(address) as client:
        first, second, third = client.try_many("half", requests)
        assert not isinstance(first, NaiadError)
        assert not isinstance(third, NaiadError)
        assert (first["y"], third["y"]) == ([1], [3])
        assert isinstance(second, InvalidInput)
        with pytest.raises(InvalidInput, match="x is text"):
            list(client.infer_many("half", requests))
        with pytest.raises(InvalidInput, match="concurrency is 0"):
            client.infer_many("half", requests, concurrency=0)


async def test_many_requests_from_an_event_loop() -> None:
    requests: list[dict[str, Any]] = [{"x": [number, 0]} for number in range(20)]
    with grpc_server() as (address, _):
        async with AsyncClient(address) as client:
            many = client.half.infer_many(requests, concurrency=4)
            assert [answer["y"].tolist() async for answer in many] == [[n] for n in range(20)]
            bad = client.half.try_many([{"x": ["bad"]}])
            assert [type(answer) async for answer in bad] == [InvalidInput]


def test_a_progress_bar_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with grpc_server() as (address, _), Client(address) as client:
        list(client.infer_many("half", [{"x": [1, 2]}] * 3, progress=True))
    captured = capsys.readouterr()
    assert "half" in captured.err
    assert "3/3" in captured.err
    assert captured.out == ""


def test_a_model_of_an_application_has_its_typed_client(monkeypatch: pytest.MonkeyPatch) -> None:
    class Half(application.Application):
        name = "half"

        @classmethod
        def client_of(cls, model: Any) -> Any:
            return ("typed", model)

    monkeypatch.setattr(application, "application", lambda name: Half if name == "half" else None)
    for client, kind in (
        (Client("localhost:1"), ModelClient),
        (AsyncClient("localhost:1"), AsyncModelClient),
    ):
        typed, model = client.half
        assert (typed, type(model), model.name) == ("typed", kind, "half")
        assert type(client.other) is kind
        assert type(client.model("half")) is kind


def test_a_model_by_name_is_a_client_of_that_model() -> None:
    with grpc_server() as (address, _), Client(address) as client:
        model = client.model("half")
        assert model.infer(x=[1, 2])["y"] == [1]
        assert model.config()["name"] == "half"
        assert model.notice() == ""
        assert repr(model) == f"ModelClient('half' at grpc://{address})"
        assert repr(client) == f"Client('grpc://{address}')"
        assert client.url == f"grpc://{address}"
        with pytest.raises(AttributeError):
            client._repr_latex_  # noqa: B018 - what a notebook asks of every object


async def test_a_model_of_an_asyncio_client() -> None:
    with grpc_server() as (address, _):
        async with AsyncClient(address) as client:
            assert isinstance(client.half, AsyncModelClient)
            assert (await client.half.infer(x=[1, 2]))["y"] == [1]
            assert (await client.half.config())["name"] == "half"
            assert await client.half.notice() == ""
