"""A user's traceback has the user's line, one frame of Naiad's, and the message."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.ports import free_port
from tests.unit.client.clients import Ask, both, half
from tests.unit.client.servers import grpc_server

from naiad.client import AsyncClient, Client
from naiad.client.tracebacks import VARIABLE, one_frame
from naiad.errors import InvalidInput, Unavailable

ROOT = Path(__file__).parents[3]


def frames(error: BaseException) -> list[str]:
    """Return the functions of a traceback below the test, each with its package."""
    shown = traceback.extract_tb(error.__traceback__)
    return [
        frame.name
        for frame in shown
        if "naiad" in Path(frame.filename).parts or "site-packages" in frame.filename
    ]


@both
@pytest.mark.parametrize("scheme", ["grpc", "http"])
def test_an_error_has_one_frame_and_no_causes(run: Ask, scheme: str) -> None:
    with pytest.raises(Unavailable) as raised:
        run(f"{scheme}://127.0.0.1:{free_port()}", half, retries=0)
    assert frames(raised.value) == ["infer"]
    assert raised.value.__cause__ is raised.value.__context__ is None


@both
@pytest.mark.parametrize("scheme", ["grpc", "http"])
def test_the_environment_can_ask_for_the_whole_chain(
    run: Ask, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "full")
    with pytest.raises(Unavailable) as raised:
        run(f"{scheme}://127.0.0.1:{free_port()}", half, retries=0)
    assert {"infer", "_run", "_send", "send"} < set(frames(raised.value))
    assert raised.value.__cause__ is not None


METHODS: dict[str, Callable[[Any], Any]] = {
    "infer": lambda client: client.model("half").infer(x=["text"]),
    "config": lambda client: client.config("half"),
    "load": lambda client: client.load("half"),
    "card": lambda client: client.model("half").card(),
}


@both
@pytest.mark.parametrize("method", METHODS)
def test_each_method_has_one_frame(run: Ask, method: str) -> None:
    with pytest.raises(Unavailable) as raised:
        run(f"127.0.0.1:{free_port()}", METHODS[method], retries=0)
    assert frames(raised.value) == [method]


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_wrong_setting_has_one_frame(kind: Callable[..., Any]) -> None:
    with pytest.raises(InvalidInput) as raised:
        kind("ftp://x")
    assert frames(raised.value) == ["__init__"]
    with pytest.raises(InvalidInput) as raised:
        kind("x").infer_many("half", [], concurrency=0)
    assert frames(raised.value) == ["infer_many"]


def test_many_requests_keep_the_frames_of_the_user_s_own_code() -> None:
    def requests() -> Iterator[dict[str, Any]]:
        yield {"x": [1, 0]}
        raise InvalidInput("the file ends early")

    async def ask_in_a_loop(address: str) -> None:
        async with AsyncClient(address) as client:
            async for _ in client.half.infer_many(requests()):
                pass

    with grpc_server() as (address, _), Client(address) as client:
        with pytest.raises(InvalidInput) as raised:
            list(client.half.infer_many([{"x": ["text"]}]))
        assert frames(raised.value) == ["answers"]
        for ask in (
            lambda: list(client.half.infer_many(requests())),
            lambda: asyncio.run(ask_in_a_loop(address)),
        ):
            with pytest.raises(InvalidInput, match="ends early") as raised:
                ask()
            assert frames(raised.value) == ["answers"]
            assert traceback.extract_tb(raised.value.__traceback__)[-1].name == "requests"


def test_what_the_user_was_handling_stays() -> None:
    def ask() -> None:
        try:
            int("x")
        except ValueError:
            Client(f"127.0.0.1:{free_port()}", retries=0).config("half")

    with pytest.raises(Unavailable) as raised:
        ask()
    assert isinstance(raised.value.__context__, ValueError)
    assert not raised.value.__suppress_context__


def test_a_user_sees_two_frames_and_the_message() -> None:
    code = f"import naiad\nnaiad.Client('127.0.0.1:{free_port()}', retries=0).infer('half', x=[1])"
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    ).stderr
    assert shown.count("File ") == 2
    assert shown.splitlines()[-1].startswith("naiad.errors.Unavailable: no server answers at grpc:")


def test_causes_that_form_a_circle_end() -> None:
    error, other = InvalidInput("a"), InvalidInput("b")
    error.__cause__, other.__cause__ = other, error
    with pytest.raises(InvalidInput), one_frame:
        raise error
    assert error.__cause__ is None
