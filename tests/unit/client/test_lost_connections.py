"""However a connection ends, its request is resent; a restarted server loses none."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import pytest
from tests.support.ports import free_port
from tests.unit.client.clients import Ask, both, half
from tests.unit.client.mortal import mortal
from tests.unit.client.servers import CONFIG, grpc_server, http_server, reply

from naiad.client import AsyncClient, Client
from naiad.errors import NaiadError, Unavailable

_AT_ONCE = 4
_GONE = 3.5  # seconds, longer than three retries


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["grpc", "http"])
def test_no_request_is_lost_to_a_server_that_is_killed_and_comes_back(scheme: str) -> None:
    failed: list[NaiadError] = []
    answered = [0, 0]
    stop = threading.Event()
    x = np.ones(1000, np.float32)

    def work() -> None:
        with Client(server.url) as client:
            while not stop.is_set():
                try:
                    assert client.infer("half", x=x)["y"].shape == (500,)
                    answered[0] += 1
                except NaiadError as error:  # noqa: PERF203
                    failed.append(error)

    async def work_in_a_loop() -> None:
        async def one() -> None:
            while not stop.is_set():
                try:
                    assert (await client.infer("half", x=x))["y"].shape == (500,)
                    answered[1] += 1
                except NaiadError as error:  # noqa: PERF203
                    failed.append(error)

        async with AsyncClient(server.url) as client:
            await asyncio.gather(*[one() for _ in range(_AT_ONCE)])

    def wait_for_more() -> None:
        before = list(answered)
        while (
            not failed and min(now - then for now, then in zip(answered, before, strict=True)) < 20
        ):
            time.sleep(0.02)

    with mortal(scheme) as server:
        threads = [threading.Thread(target=work) for _ in range(_AT_ONCE)]
        threads.append(threading.Thread(target=lambda: asyncio.run(work_in_a_loop())))
        for thread in threads:
            thread.start()
        try:
            for gone in (0.0, _GONE):
                wait_for_more()
                server.kill()
                time.sleep(gone)
                server.start()
            wait_for_more()
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    assert failed == []


@both
@pytest.mark.parametrize("scheme", ["grpc", "http"])
def test_a_wrong_port_is_found_within_seconds(run: Ask, scheme: str) -> None:
    began = time.monotonic()
    with pytest.raises(Unavailable, match="no server answers"):
        run(f"{scheme}://127.0.0.1:{free_port()}", half)
    assert time.monotonic() - began < 30  # and not the minute that a call has


def close(connection: socket.socket) -> None:
    """End a connection properly."""
    connection.shutdown(socket.SHUT_RDWR)


def reset(connection: socket.socket) -> None:
    """Reset a connection, like a host that has forgotten it."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"
GOAWAY = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00" + bytes.fromhex("0000080700000000") + bytes(9)


@contextmanager
def breaking(
    target: str, said: bytes, end: Callable[[socket.socket], None], times: int = 1
) -> Generator[tuple[str, list[str]]]:
    """Run a proxy to ``target`` that sends ``said`` on its first connections and then ends them.

    Yields its address, and a list with an entry per connection.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    seen: list[str] = []
    ends: list[socket.socket] = []

    def forward(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def accept() -> None:
        with suppress(OSError):  # the listener is closed at the end
            while True:
                near, _ = listener.accept()
                if len(seen) < times:
                    seen.append("broken")
                    near.recv(65536)
                    near.sendall(said)
                    with suppress(OSError):
                        end(near)
                    near.close()
                    continue
                seen.append("whole")
                host, _, port = target.partition(":")
                far = socket.create_connection((host, int(port)))
                ends.extend([near, far])
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=forward, args=pair, daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}", seen
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for each in ends:
            each.close()


@both
@pytest.mark.parametrize("end", [close, reset])
@pytest.mark.parametrize("said", [b"", b"HT", b"HTTP/1.1 200", HEAD[:-2], HEAD, HEAD + b"half"])
def test_an_answer_over_http_that_breaks_off_is_asked_for_again(
    run: Ask, end: Callable[[socket.socket], None], said: bytes
) -> None:
    def ask(client: Any) -> Any:
        return client.config("half")

    with http_server(lambda handler, body: reply(handler, 200, CONFIG)) as target:
        with breaking(target, said, end) as (address, seen):
            assert run(f"http://{address}", ask) == CONFIG
            assert seen[:2] == ["broken", "whole"]
        with (
            breaking(target, said, end, times=9) as (address, _),  # aiohttp tries twice by itself
            pytest.raises(Unavailable) as raised,
        ):
            run(f"http://{address}", ask, retries=0)
    assert f"the connection to http://{address} was lost" in str(raised.value)


@both
@pytest.mark.parametrize("end", [close, reset])
@pytest.mark.parametrize("said", [b"", GOAWAY[:9], GOAWAY])
def test_a_grpc_connection_that_breaks_off_is_made_again(
    run: Ask, end: Callable[[socket.socket], None], said: bytes
) -> None:
    with grpc_server() as (target, _), breaking(target, said, end) as (address, seen):
        assert run(address, half)["y"].tolist() == [1.0, 2.0]
        assert seen[:2] == ["broken", "whole"]


def test_no_call_spins_on_a_connection_that_goes_away() -> None:
    def ask(number: int) -> float:
        with breaking(target, GOAWAY, close) as (address, _), Client(address) as client:
            return client.infer("half", x=[number, 0.0], timeout=20.0)["y"][0]

    # Under load, one of gRPC's own retries in a hundred used the old connection until the deadline.
    with grpc_server() as (target, _), ThreadPoolExecutor(16) as pool:
        assert list(pool.map(ask, range(200))) == list(range(200))


@both
@pytest.mark.parametrize(
    "body",
    [
        b"upstream connect error or disconnect/reset before headers. reset reason: overflow",
        b'{"message": "no healthy upstream", "code": 503}',
        b"<html><style>p {}</style><h1>Service Unavailable</h1>\n</html>",
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_what_a_gate_answers_without_its_server_is_tried_again_and_readable(
    run: Ask, body: bytes
) -> None:
    answers = iter([(503, body), (200, CONFIG), (503, body)])

    with http_server(lambda handler, sent: reply(handler, *next(answers))) as address:
        assert run(f"http://{address}", lambda client: client.config("half")) == CONFIG
        with pytest.raises(Unavailable) as raised:
            run(f"http://{address}", lambda client: client.config("half"), retries=0)
    message = str(raised.value)
    assert len(message) < 420
    assert "<" not in message
    assert "\n" not in message
