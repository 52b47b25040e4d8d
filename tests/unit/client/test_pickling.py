"""Clients are sent to other processes: with their settings, without their connections."""

from __future__ import annotations

import asyncio
import multiprocessing
import pickle
from typing import Any

import pytest
from tests.unit.client.clients import half
from tests.unit.client.servers import grpc_server, http_half

from naiad import AsyncClient, Client
from naiad.errors import DeadlineExceeded, InvalidInput

KEY = "secret-of-mine"


def ask(client: Any) -> list[float]:
    """Ask in this process, with whichever client it is."""
    if isinstance(client, Client):
        return half(client)["y"].tolist()

    async def main() -> Any:
        async with client:
            return await half(client)

    return asyncio.run(main())["y"].tolist()


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_client_is_used_in_a_spawned_process(kind: Any) -> None:
    with grpc_server() as (address, server):
        client = kind(address, timeout=30, api_key=KEY)
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            assert pool.apply(ask, (client,)) == [1.0, 2.0]
        assert server.headers_of["ModelInfer"]["x-api-key"] == KEY
        assert ask(client) == [1.0, 2.0]


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize("serve", [grpc_server, http_half])
def test_a_client_that_has_asked_is_pickled_without_its_connections(serve: Any, kind: Any) -> None:
    with serve() as (address, *_):
        client = kind(address)
        if kind is Client:
            ask(client)
        copy = pickle.loads(pickle.dumps(client))
        assert repr(copy) == repr(client)
        assert ask(copy) == [1.0, 2.0]


def test_settings_travel() -> None:
    client = Client("http://a:1,http://b:2", timeout=1e-9, headers={"x-mine": KEY})
    copy = pickle.loads(pickle.dumps(client))
    assert copy.url == client.url
    with pytest.raises(DeadlineExceeded):
        copy.models()


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_what_the_environment_says_is_read_where_the_client_arrives(
    kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAIAD_API_KEY", KEY)
    pickled = pickle.dumps(kind("localhost:1"))
    assert KEY.encode() not in pickled
    monkeypatch.setenv("NAIAD_API_KEY", "not\nvalid in a header")
    with pytest.raises(InvalidInput, match="printable ASCII"):
        pickle.loads(pickled)


def test_clients_of_models_and_tasks_are_pickled() -> None:
    with grpc_server() as (address, _):
        client = Client(address)
        model = pickle.loads(pickle.dumps(client.half))
        assert model.infer(x=[2.0, 4.0])["y"].tolist() == [2.0]
        for one in (client.nugraph3, client.model("half", 1), AsyncClient(address).image):
            assert repr(pickle.loads(pickle.dumps(one))) == repr(one)


def test_cloudpickle_takes_clients() -> None:
    cloudpickle = pytest.importorskip("cloudpickle")
    with grpc_server() as (address, _):
        client = cloudpickle.loads(cloudpickle.dumps(Client(address)))
        assert ask(client) == [1.0, 2.0]


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_no_secret_is_shown(kind: Any) -> None:
    client = kind("localhost:8001", api_key=KEY, headers={"authorization": f"Bearer {KEY}"})
    for shown in (repr(client), client._repr_html_(), repr(client.half)):
        assert "localhost:8001" in shown
        assert KEY not in shown
