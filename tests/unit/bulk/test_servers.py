"""Work goes to whoever answers soonest, and away from the dead; nothing is lost on the way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
import pytest
from tests.support.ports import free_port
from tests.unit.client.servers import grpc_server

from naiad.backoff import Backoff
from naiad.bulk import servers as module
from naiad.bulk.servers import Servers
from naiad.client.access import Access
from naiad.core.pipeline import Request
from naiad.errors import InvalidInput, NaiadError, NotAllowed, Unavailable


def number(n: int) -> Request:
    return Request({"x": np.array([n, n], np.float32)})


def slow(seconds: float) -> Callable[[Any], None]:
    return lambda context: time.sleep(seconds)


def answered(servers: Servers, numbers: range) -> list[float]:
    """The answers, asked for from as many threads as the servers have places."""

    def ask(n: int) -> float:
        answer = servers.ask(number(n))
        assert not isinstance(answer, NaiadError), answer
        return float(answer["y"][0])

    with ThreadPoolExecutor(servers.places) as pool:
        return list(pool.map(ask, numbers))


def test_who_answers_faster_gets_more() -> None:
    with (
        grpc_server(slow(0.005)) as (fast, _),
        grpc_server(slow(0.1)) as (lazy, _),
        Servers([fast, lazy], "half", concurrency=2) as servers,
    ):
        servers.start()
        assert answered(servers, range(100)) == list(range(100))
        quick, late = (server.answered for server in servers.servers)
        assert quick + late == 100
        assert quick > 2 * late


def test_what_a_dead_server_had_goes_elsewhere_and_it_is_taken_back() -> None:
    heard: list[str] = []
    port = free_port()
    gone = threading.Event()

    def hang(context: grpc.ServicerContext) -> None:
        gone.wait(10)

    with (
        grpc_server(slow(0.002)) as (alive, _),
        Servers([alive, f"127.0.0.1:{port}"], "half", concurrency=2, on_event=heard.append) as all,
        ThreadPoolExecutor(1) as pool,
    ):
        with grpc_server(hang, port=port):
            all.start()
            asked = pool.submit(answered, all, range(50))
            while all.servers[1].busy < 2:
                time.sleep(0.01)
            gone.set()
        assert asked.result() == list(range(50))
        assert f"127.0.0.1:{port} is not used for now" in heard[0]
        with grpc_server(port=port) as (_, back):
            began = time.monotonic()
            while not back.calls.count("ModelInfer"):
                assert time.monotonic() - began < 60
                assert answered(all, range(20)) == list(range(20))
        assert f"127.0.0.1:{port} is back" in heard[-1]


def test_a_server_that_is_away_at_the_start_is_no_obstacle() -> None:
    with (
        grpc_server() as (url, _),
        Servers([f"127.0.0.1:{free_port()}", url], "half") as servers,
    ):
        servers.start()
        assert answered(servers, range(20)) == list(range(20))
        assert servers.servers[0].answered == 0


def test_without_any_server_there_is_no_beginning() -> None:
    port = free_port()
    servers = Servers([f"127.0.0.1:{port}"], "half")
    with (
        servers,
        pytest.raises(Unavailable, match=f"no server answers at grpc://127.0.0.1:{port}"),
    ):
        servers.start()


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    with grpc_server() as (url, _), Servers([url], "half", patience=0.5) as servers:
        servers.start()
    with Servers([url], "half", patience=0.5) as servers:
        servers._known = {}
        with pytest.raises(Unavailable, match=r"no answer from grpc://127.* for 0\.5 s"):
            servers.ask(number(1))


def test_an_item_that_nobody_answers_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_AGAIN", Backoff(first=0.01, longest=0.01))
    waiting = threading.Event()

    def moody(context: grpc.ServicerContext) -> None:
        # Refuses whatever comes while another is not being answered.
        if dict(context.invocation_metadata()).get("naiad-test") == "poison":
            context.abort(grpc.StatusCode.UNAVAILABLE, "it killed its worker twice")
        waiting.set()

    with grpc_server(moody) as (url, _), Servers([url], "half", concurrency=2) as servers:
        servers.start()
        bad = Servers([url], "half", concurrency=2)
        bad.servers[0].client.close()
        bad.servers[0].client = module.Client(url, retries=0, headers={"naiad-test": "poison"})
        bad.start()
        with bad, ThreadPoolExecutor(1) as pool:
            outcome = pool.submit(bad.ask, number(1))
            while not outcome.done():
                answered(servers, range(3))
                bad._answered_at = servers._answered_at  # others are answered all the while
            assert isinstance(outcome.result(), Unavailable)
            assert "killed its worker" in str(outcome.result())


def test_a_refusal_is_the_answer() -> None:
    def refuse(context: grpc.ServicerContext) -> None:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "x[0] is odd")

    with grpc_server(refuse) as (url, half), Servers([url], "half") as servers:
        servers.start()
        outcome = servers.ask(number(1))
        assert isinstance(outcome, InvalidInput)
        assert half.calls.count("ModelInfer") == 1


def test_a_key_that_is_taken_back_ends_the_work_and_is_no_fault_of_an_item() -> None:
    def refuse(context: grpc.ServicerContext) -> None:
        context.abort(grpc.StatusCode.PERMISSION_DENIED, "no longer")

    access = Access(api_key="key")
    with grpc_server(refuse) as (url, half), Servers([url], "half", access=access) as servers:
        servers.start()
        assert half.headers["x-api-key"] == "key"
        with pytest.raises(NotAllowed, match="no longer"):
            servers.ask(number(1))


def test_servers_with_other_weights_do_not_work_together() -> None:
    with (
        grpc_server(parameters={"weights_sha256": "aa"}) as (one, _),
        grpc_server(parameters={"weights_sha256": "bb"}) as (two, _),
        Servers([one, two], "half") as servers,
        pytest.raises(InvalidInput, match=f"{two} has half with weights bb; the other.* aa"),
    ):
        servers.start()


def test_a_server_given_twice_is_a_mistake() -> None:
    with pytest.raises(InvalidInput, match="grpc://localhost:8001 is there twice"):
        Servers(["localhost:8001", "grpc://localhost"], "half")


def test_who_waits_for_a_server_can_be_called_off() -> None:
    with grpc_server(slow(0.05)) as (url, _):
        servers = Servers([url], "half", concurrency=1)
        servers.start()
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(servers.ask, number(n)) for n in range(3)]
        time.sleep(0.2)
        servers.cancel()
        for one in asked:
            with pytest.raises(Unavailable, match="given up"):
                one.result(timeout=10)
