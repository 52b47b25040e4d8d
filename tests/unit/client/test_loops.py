"""Clients and event loops: asyncio clients outlive theirs, blocking ones work inside one."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from typing import Any

import pytest
from tests.unit.client.clients import half
from tests.unit.client.servers import grpc_server, http_half

from naiad import AsyncClient, Client
from naiad.errors import InvalidInput

SERVERS = pytest.mark.parametrize("serve", [grpc_server, http_half])


@SERVERS
def test_an_asyncio_client_outlives_its_loop(serve: Any, caplog: pytest.LogCaptureFixture) -> None:
    with serve() as (address, *_), caplog.at_level(logging.WARNING):
        client = AsyncClient(address)
        for _ in range(3):
            assert asyncio.run(half(client))["y"].tolist() == [1.0, 2.0]
        asyncio.run(client.close())
        del client
        gc.collect()  # an unclosed session would warn, and warnings are errors
    assert not caplog.records


@SERVERS
def test_two_loops_at_once_share_an_asyncio_client(serve: Any) -> None:
    with serve() as (address, *_):
        client, answers = AsyncClient(address), list[float]()
        both = threading.Barrier(2)

        async def main() -> None:
            answers.append((await half(client))["y"].tolist())
            both.wait(60)
            answers.append((await half(client))["y"].tolist())
            both.wait(60)

        threads = [threading.Thread(target=asyncio.run, args=(main(),)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == [[1.0, 2.0]] * 4
        asyncio.run(client.close())


@SERVERS
async def test_a_client_closes_its_connections_in_another_threads_loop(serve: Any) -> None:
    with serve() as (address, *_):
        client, asked = AsyncClient(address), threading.Event()
        loops: list[asyncio.AbstractEventLoop] = []

        async def other() -> None:
            loops.append(asyncio.get_running_loop())
            end = asyncio.Event()
            ends.append(end)
            await half(client)
            asked.set()
            await end.wait()

        ends: list[asyncio.Event] = []
        thread = threading.Thread(target=asyncio.run, args=(other(),))
        thread.start()
        await asyncio.to_thread(asked.wait)
        await half(client)
        await client.close()
        loops[0].call_soon_threadsafe(ends[0].set)
        await asyncio.to_thread(thread.join)
        with pytest.raises(InvalidInput, match="this client is closed"):
            await half(client)


@SERVERS
async def test_a_blocking_client_works_inside_a_running_loop(serve: Any) -> None:
    with serve() as (address, *_), Client(address) as client:
        assert half(client)["y"].tolist() == [1.0, 2.0]
        assert (await asyncio.to_thread(half, client))["y"].tolist() == [1.0, 2.0]
