"""The blocking and the asyncio client, for the same tests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from naiad.client import AsyncClient, Client

Ask = Callable[..., Any]


def blocking(url: Any, ask: Callable[[Client], Any], **options: Any) -> Any:
    with Client(url, **options) as client:
        return ask(client)


def in_a_loop(url: Any, ask: Callable[[AsyncClient], Awaitable[Any]], **options: Any) -> Any:
    async def main() -> Any:
        async with AsyncClient(url, **options) as client:
            return await ask(client)

    return asyncio.run(main())


both = pytest.mark.parametrize("run", [blocking, in_a_loop])


def half(client: Any, **options: Any) -> Any:
    """Call the model ``half`` of tests.unit.client.servers."""
    return client.infer("half", x=[1.0, 2.0, 3.0, 4.0], **options)
