"""Several servers: asked in turn, and those that are unavailable rest."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import grpc
import numpy as np
import pytest
from tests.support.ports import free_port
from tests.unit.client.servers import grpc_server

from naiad.client import AsyncClient, Client, servers
from naiad.client.address import Address
from naiad.client.grpc import GrpcCalls
from naiad.client.servers import REST, Servers
from naiad.errors import InvalidInput, PipelineError, Unavailable


class Named(GrpcCalls):
    def __init__(self, name: str) -> None:
        self.name = name


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(servers, "time", clock)
    return clock


def of(names: str) -> Servers[Named]:
    return Servers((Address.parse(name), Named(name)) for name in names)


def ask(members: Servers[Named], bad: str = "", error: Exception | None = None) -> str:
    """The name of the server that was asked; those in ``bad`` fail."""
    try:
        with members.turn() as transport:
            if transport.name in bad:
                raise error or Unavailable("gone")
    except type(error or Unavailable()):
        pass
    return transport.name


def test_servers_are_asked_in_turn() -> None:
    members = of("abc")
    assert "".join(ask(members) for _ in range(7)) == "abcabca"


def test_an_unavailable_server_rests_for_growing_times(clock: Clock) -> None:
    members = of("ab")
    rest = REST.first
    for _ in range(8):
        while ask(members, bad="a") != "a":
            pass
        clock.now += 0.99 * rest
        assert {ask(members, bad="a") for _ in range(3)} == {"b"}
        clock.now += 0.02 * rest
        rest = min(2 * rest, REST.longest)
    assert "".join(ask(members) for _ in range(4)) in ("abab", "baba")


def test_where_all_rest_the_one_nearest_to_its_end_is_asked(clock: Clock) -> None:
    members = of("ab")
    assert ask(members, bad="ab") == "a"
    clock.now += 0.1
    assert ask(members, bad="ab") == "b"
    clock.now += 0.1
    assert ask(members, bad="ab") == "a"  # rests for 2 s more now
    assert ask(members, bad="ab") == "b"


def test_an_error_of_the_request_is_no_fault_of_the_server() -> None:
    members = of("ab")
    names = [ask(members, bad="ab", error=PipelineError("no")) for _ in range(4)]
    assert "".join(names) == "abab"


def test_turns_are_shared_between_threads() -> None:
    members = of("abcd")
    asked: list[str] = []

    def work() -> None:
        asked.extend(ask(members) for _ in range(400))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [asked.count(name) for name in "abcd"] == [400] * 4


def blocking(urls: Any, requests: int, **options: Any) -> None:
    with Client(urls, **options) as client:
        for _ in range(requests):
            assert np.array_equal(client.infer("half", x=[1.0, 2.0])["y"], [1.0])


def in_a_loop(urls: Any, requests: int, **options: Any) -> None:
    async def main() -> None:
        async with AsyncClient(urls, **options) as client:
            for _ in range(requests):
                assert np.array_equal((await client.infer("half", x=[1.0, 2.0]))["y"], [1.0])

    asyncio.run(main())


both = pytest.mark.parametrize("run", [blocking, in_a_loop])


@both
def test_requests_are_spread_over_the_servers(run: Callable[..., None]) -> None:
    with ExitStack() as stack:
        started = [stack.enter_context(grpc_server()) for _ in range(3)]
        run([address for address, _ in started], 12)
        counts = [server.calls.count("ModelInfer") for _, server in started]
    assert counts == [4, 4, 4]


@both
def test_no_request_is_lost_to_servers_that_are_gone_or_stopping(run: Callable[..., None]) -> None:
    def stopping(context: grpc.ServicerContext) -> None:
        context.abort(grpc.StatusCode.UNAVAILABLE, "the server is stopping")

    with grpc_server(stopping) as (bad, one), grpc_server() as (good, other):
        run(f"127.0.0.1:{free_port()},{bad},{good}", 6, retries=0)
    assert one.calls.count("ModelInfer") == 1
    assert other.calls.count("ModelInfer") == 6


@both
def test_where_none_answers_all_are_tried_in_each_round(run: Callable[..., None]) -> None:
    def stopping(context: grpc.ServicerContext) -> None:
        context.abort(grpc.StatusCode.UNAVAILABLE, "the server is stopping")

    with (
        grpc_server(stopping) as (a, one),
        grpc_server(stopping) as (b, other),
        pytest.raises(Unavailable, match="the server is stopping"),
    ):
        run([a, b], 1, retries=1)
    assert [one.calls.count("ModelInfer"), other.calls.count("ModelInfer")] == [2, 2]


def test_one_ready_server_is_enough() -> None:
    with grpc_server() as (address, _), grpc_server() as (busy, unready):
        unready.ready = False
        with Client([busy, address], retries=0) as client:
            assert client.ready()
        with Client(busy, retries=0) as client:
            assert not client.ready()


@pytest.mark.parametrize("verb", ["load", "unload"])
def test_models_are_loaded_server_by_server(verb: str) -> None:
    with Client("a:1,b:2") as client:
        with pytest.raises(InvalidInput, match=r"this one has 2: grpc://a:1,grpc://b:2"):
            getattr(client, verb)("m")
        assert client.url == "grpc://a:1,grpc://b:2"
        assert repr(client) == "Client('grpc://a:1,grpc://b:2')"
