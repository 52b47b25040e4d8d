"""A typed client: units of an application in, its results out, by either client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from tests.unit.client.servers import grpc_server

from naiad import Request
from naiad.client import AsyncClient, AsyncTypedClient, Client, TypedClient
from naiad.errors import InvalidInput

CARD = {"unit": "cm", "notice": "for tests alone"}


def ask(number: float, card: Mapping[str, str], *, scale: float = 1.0) -> Request:
    if number < 0:
        raise InvalidInput(f"{number} {card['unit']} is no length")
    x = np.array([number * scale, 0.0], np.float32)
    return Request({"x": x}, id=f"number {number}", parameters={"scale": scale})


def answer(number: float, outputs: Mapping[str, Any], card: Mapping[str, str]) -> str:
    return f"{number:g} -> {outputs['y'][0]:g} {card['unit']}"


async def collected(answers: Any) -> list[Any]:
    return [answer async for answer in answers]


def blocking(address: str, use: Callable[[Any, Any], Any]) -> Any:
    with Client(address) as client:
        typed = TypedClient(client.model("half"), ask, answer)
        return use(typed, lambda value: list(value) if hasattr(value, "__iter__") else value)


def in_a_loop(address: str, use: Callable[[Any, Any], Any]) -> Any:
    """Run the same calls; each is awaited in an event loop of one runner."""
    loop = asyncio.new_event_loop()

    def finish(value: Any) -> Any:
        return loop.run_until_complete(collected(value) if hasattr(value, "__aiter__") else value)

    client = AsyncClient(address)
    try:
        return use(AsyncTypedClient(client.model("half"), ask, answer), finish)
    finally:
        loop.run_until_complete(client.close())
        loop.close()


both = pytest.mark.parametrize("run", [blocking, in_a_loop])


@both
def test_units_become_results(run: Any) -> None:
    def use(typed: Any, finish: Any) -> None:
        plain = (lambda value: value) if run is blocking else finish
        assert plain(typed.infer(3.0)) == "3 -> 3 cm"
        assert plain(typed.infer(3.0, scale=2.0, timeout=10.0)) == "3 -> 6 cm"
        assert plain(typed.card()) == CARD
        assert plain(typed.notice()) == "for tests alone"
        assert repr(typed.model) in repr(typed)

    with grpc_server(parameters=CARD) as (address, server):
        run(address, use)
        assert server.calls == ["ModelConfig", "ModelInfer", "ModelInfer"]


@both
def test_many_units_end_or_go_on_at_an_error(run: Any) -> None:
    def use(typed: Any, finish: Any) -> None:
        assert finish(typed.infer_many(iter([1, 2, 3]), scale=3.0, concurrency=2)) == [
            "1 -> 3 cm",
            "2 -> 6 cm",
            "3 -> 9 cm",
        ]
        first, second, third = finish(typed.try_many([1, -2, 3]))
        assert (first, third) == ("1 -> 1 cm", "3 -> 3 cm")
        assert isinstance(second, InvalidInput)
        with pytest.raises(InvalidInput, match="-2 cm is no length"):
            finish(typed.infer_many([1, -2, 3]))
        with pytest.raises(InvalidInput, match="concurrency is 0"):
            typed.infer_many([1], concurrency=0)

    with grpc_server(parameters=CARD) as (address, _):
        run(address, use)


@both
def test_an_unknown_option_is_a_mistake_of_the_caller(run: Any) -> None:
    def use(typed: Any, finish: Any) -> None:
        plain = (lambda value: value) if run is blocking else finish
        with pytest.raises(TypeError, match="top"):
            plain(typed.infer(1.0, top=3))

    with grpc_server(parameters=CARD) as (address, _):
        run(address, use)
