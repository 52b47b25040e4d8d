"""Requests prepared once reach a server that needs a key."""

from __future__ import annotations

import asyncio

import numpy as np
from tests.unit.client.servers import CONFIG, grpc_server

from naiad.bench.target import Target
from naiad.client.access import Access
from naiad.client.address import Address
from naiad.client.spec import ModelSpec


def test_the_key_goes_with_each_request() -> None:
    arrays = {"x": np.ones(4, np.float32)}

    async def ask(address: str) -> tuple[int, int]:
        spec = ModelSpec.from_config(CONFIG)
        target = Target(Address.parse(address), spec, [arrays], access=Access(api_key="key"))
        try:
            return await target.send(0)
        finally:
            await target.close()

    with grpc_server() as (address, server):
        assert asyncio.run(ask(address)) == (16, 8)
    assert server.headers_of["ModelInfer"]["x-api-key"] == "key"
