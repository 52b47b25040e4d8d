# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
"""The client and the server as a user calls them: what the checker knows of the answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import assert_type

import naiad
from naiad import AsyncClient, Client, NaiadError, Server
from naiad.tasks.aio import AsyncTaskClient
from naiad.tasks.client import TaskClient


def blocking(client: Client, x: NDArray[np.float32]) -> None:
    assert_type(client.infer("degree", x=x), dict[str, NDArray[Any]])
    assert_type(client.infer("degree", {"x": x}, timeout=1.0), dict[str, NDArray[Any]])
    assert_type(client.infer_many("degree", [{"x": x}]), Iterator[dict[str, NDArray[Any]]])
    assert_type(
        client.try_many("degree", [{"x": x}]), Iterator[dict[str, NDArray[Any]] | NaiadError]
    )
    assert_type(client.model("degree").infer_many([{"x": x}]), Iterator[dict[str, NDArray[Any]]])
    assert_type(client.ready(), bool)
    client.infer("degree", x=x, timeout="soon")  # pyright: ignore[reportArgumentType]
    client.infer(x=x)  # pyright: ignore[reportCallIssue]


async def asynchronous(client: AsyncClient, x: NDArray[np.float32]) -> None:
    assert_type(await client.infer("degree", x=x), dict[str, NDArray[Any]])
    assert_type(client.infer_many("degree", [{"x": x}]), AsyncIterator[dict[str, NDArray[Any]]])


def typed(client: TaskClient[str, int]) -> None:
    assert_type(client.infer_many(["a text"], top=3), Iterator[int])
    assert_type(client.try_many(["a text"], progress=True), Iterator[int | NaiadError])
    assert_type(client.notice(), str)
    client.infer_many(3)  # pyright: ignore[reportArgumentType]


async def typed_in_a_loop(client: AsyncTaskClient[str, int]) -> None:
    assert_type(client.infer_many(["a text"], top=3), AsyncIterator[int])
    assert_type(client.try_many(["a text"]), AsyncIterator[int | NaiadError])
    assert_type(await client.notice(), str)
    client.infer_many(3)  # pyright: ignore[reportArgumentType]


def serving(folder: Path) -> None:
    with naiad.serve("nugraph3") as server:
        assert_type(server, Server)
        assert_type(server.client(), Client)
        assert_type(server.grpc_url, str)
    naiad.export("nugraph3", folder)
    naiad.serve("nugraph3", watchdog=2.5, settings={"top": 3}, load=["gat"], exit_timeout=2)
    naiad.serve("nugraph3", watchdog="soon")  # pyright: ignore[reportArgumentType]
    naiad.serve("nugraph3", watchdogg=2.5)  # pyright: ignore[reportCallIssue]
    naiad.Server(folder, model_control="poll", poll_seconds=2)
    naiad.export("nugraph3", folder, latency_target=0.05, tuning="tuning.json")
    naiad.export(folder, "nugraph3")  # pyright: ignore[reportArgumentType]


def errors() -> None:
    try:
        Client("localhost:8001").close()
    except naiad.InvalidInput as error:
        assert_type(error.code, str)
