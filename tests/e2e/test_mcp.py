"""``naiad mcp`` through the real Triton and the client of the official SDK."""

from __future__ import annotations

import base64
import csv
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import jsonschema
import pytest
import urllib3
from PIL import Image

from naiad import testing
from naiad.applications.nugraph.events import open_events
from naiad.applications.nugraph.task import NuGraph3Task
from naiad.triton.ports import free_ports, is_free
from naiad.triton.server import Server

pytest.importorskip("mcp", reason="the extra mcp is not installed")

from httpx2 import AsyncClient
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.client.subscriptions import ToolsListChanged
from mcp.types import CallToolResult, TextContent, ToolListChangedNotification

TEXT = "Who are you voting for 2021?"
LABELS = ["business", "politics"]
OPTIONS: dict[str, Any] = {"read_timeout_seconds": 60}


@dataclass(frozen=True)
class Served:
    """A server, and a folder with events that agents may read."""

    server: Server
    folder: Path

    def command(self, *arguments: str) -> list[str]:
        """Return the words of ``naiad mcp`` for the server."""
        return ["-m", "naiad", "mcp", "--url", self.server.grpc_url, *arguments]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("allowed")
    task = NuGraph3Task()
    events = task.simulate(3, 0, task.SimulateOptions())
    task.save(events, folder / "events.h5", lambda *_: None)
    models = ("nugraph3", "zero_shot", "simple")
    with testing.serve(*models, instances=1, model_control="explicit") as server:
        yield Served(server, folder)


@contextmanager
def running(port: int, command: list[str]) -> Iterator[str]:
    """Run ``naiad mcp --http`` and yield its address."""
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while is_free("127.0.0.1", port):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)


@pytest.fixture(scope="module")
def http(served: Served) -> Iterator[str]:
    """Run ``naiad mcp --http`` and return its address."""
    (port,) = free_ports("127.0.0.1", 1)
    with running(port, served.command("--http", str(port))) as url:
        yield url


def text_of(result: CallToolResult) -> str:
    """Return the text of an answer."""
    first = result.content[0]
    assert isinstance(first, TextContent)
    return first.text


async def refusal(client: Client, tool: str, **arguments: Any) -> str:
    """Return the message of a call that fails."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    return text_of(result)


async def test_an_agent_asks_tasks_and_models_over_stdio(served: Served):
    arguments = served.command("--folder", str(served.folder))
    start = StdioServerParameters(command=sys.executable, args=arguments, env={**os.environ})
    async with Client(start, **OPTIONS) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert [*tools] == ["list_models", "nugraph3", "zero_shot", "simple"]
        for tool in tools.values():
            jsonschema.Draft202012Validator.check_schema(tool.input_schema)
            jsonschema.Draft202012Validator.check_schema(tool.output_schema or {})
            assert tool.annotations is not None
            assert tool.annotations.read_only_hint
            # Interfaces of some agents refuse alternatives at the top.
            assert not {"anyOf", "oneOf", "allOf"} & tool.input_schema.keys()
        properties = tools["zero_shot"].input_schema["properties"]
        assert properties["multi_label"]["type"] == "boolean"
        assert "labels_file" not in properties  # a path beside the allowed folders
        assert "not for physics" in str(tools["nugraph3"].description)

        found = await client.call_tool("zero_shot", {"texts": [TEXT], "labels": LABELS})
        with served.server.client() as direct:
            expected = direct.zero_shot.infer([TEXT], LABELS)[0]
        (row,) = found.structured_content["answers"][0]["rows"]
        assert row["label"] == expected.label == "politics"
        assert row["politics"] == pytest.approx(expected.scores[0], abs=1e-4)
        assert next(iter(csv.DictReader(io.StringIO(text_of(found)))))["label"] == "politics"

        seen: list[float] = []

        async def progress(done: float, _: float | None, __: str | None) -> None:
            seen.append(done)

        asked = {"files": ["events.h5"], "start": 1, "count": 2, "max_rows": 4}
        found = await client.call_tool("nugraph3", asked, progress_callback=progress)
        first, second = found.structured_content["answers"]
        assert (first["number"], second["number"], len(first["rows"])) == (1, 2, 4)
        events = served.folder / "events.h5"
        with served.server.client() as direct, open_events(events) as opened:
            event = direct.nugraph3.infer(opened[1])
        scores = [row["filter"] for row in first["rows"]]
        assert scores == pytest.approx([*event.hits["filter"][:4]], abs=1e-4)
        assert first["rows_left_out"] == event.num_hits - 4
        assert seen == [1, 2]
        picture = found.content[1]
        assert picture.type == "image"
        with Image.open(io.BytesIO(base64.b64decode(picture.data))) as drawn:
            assert (drawn.format, drawn.width > 300) == ("PNG", True)
        assert len((await client.call_tool("nugraph3", {**asked, "picture": False})).content) == 1

        tensors = {"INPUT0": [[*range(16)]], "INPUT1": [[2] * 16]}
        found = await client.call_tool("simple", {"inputs": tensors, "outputs": ["OUTPUT1"]})
        (output,) = found.structured_content["outputs"]
        assert output["values"] == [[n - 2 for n in range(16)]]

        (served.folder / "link.h5").symlink_to("/etc/passwd")
        for path in ("/etc/passwd", "../../etc/passwd", "link.h5"):
            assert f"{path} is not below an allowed folder" in await refusal(
                client, "nugraph3", files=[path]
            )
        (served.folder / "link.h5").unlink()
        assert "no.h5: no such file below" in await refusal(client, "nugraph3", files=["no.h5"])
        assert "input INPUT1 of model" in await refusal(
            client, "simple", inputs={"INPUT0": [[0] * 16]}
        )
        assert "INPUT0 cannot become a numpy array" in await refusal(
            client, "simple", inputs={"INPUT0": [[0], [0, 1]], "INPUT1": [[2]]}
        )
        assert "labels is 3" in await refusal(client, "zero_shot", texts=["a"], labels=3)
        assert "unknown argument 'labels_file'" in await refusal(
            client, "zero_shot", texts=["a"], labels_file="/etc/passwd"
        )
        assert "no tool 'gat'; tools: list_models" in await refusal(client, "gat")
        # A folder with a file that is damaged, and whose name is not UTF-8.
        (served.folder / os.fsdecode(b"\xe9.h5")).write_bytes(b"nothing")
        both = await client.call_tool("nugraph3", {"files": ["."], "count": 1})
        assert not both.is_error
        good, bad = both.structured_content["answers"]
        assert good["rows"]
        assert bad["name"].endswith("\\udce9.h5")
        assert "error" in bad


async def test_agents_over_http_are_told_of_models_that_come_and_go(served: Served, http: str):
    told = anyio.Event()

    async def listen(message: Any) -> None:
        if isinstance(message, ToolListChangedNotification):
            told.set()

    handler: Any = listen
    new = Client(http, **OPTIONS)
    old = Client(http, mode="legacy", message_handler=handler, **OPTIONS)
    async with new, old, new.listen(tools_list_changed=True) as changes:
        for client in (new, old):
            found = await client.call_tool("zero_shot", {"texts": [TEXT], "labels": LABELS})
            assert found.structured_content["answers"][0]["rows"][0]["label"] == "politics"
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}
            # No folder was allowed: nothing about files is offered.
            assert "files" not in tools["zero_shot"].input_schema["properties"]
            assert "simple" in tools
        served.server.client().unload("simple")
        with anyio.fail_after(30):
            assert isinstance(await anext(aiter(changes)), ToolsListChanged)
            await told.wait()
        for client in (new, old):
            names = {tool.name for tool in (await client.list_tools()).tools}
            assert names == {"list_models", "nugraph3", "zero_shot"}


async def test_files_are_shared_over_http_with_a_key_only(served: Served, tmp_path: Path):
    (port,) = free_ports("127.0.0.1", 1)
    given = [*served.command("--http", str(port)), "--folder", str(served.folder)]
    refused = subprocess.run([sys.executable, *given], capture_output=True, text=True)
    assert refused.returncode == 2
    assert "--http-key-file" in refused.stderr
    (tmp_path / "key").write_text("of-the-agents\n")
    with running(port, [*given, "--http-key-file", str(tmp_path / "key")]) as url:
        for headers in ({}, {"Authorization": "Bearer of-the-agent"}):
            assert urllib3.request("POST", url, json={}, headers=headers).status == 401
        headers = {"Authorization": "Bearer of-the-agents"}
        async with (
            AsyncClient(headers=headers, timeout=60) as key,
            Client(streamable_http_client(url, http_client=key), **OPTIONS) as client,
        ):
            asked = {"files": ["events.h5"], "count": 1, "picture": False}
            assert not (await client.call_tool("nugraph3", asked)).is_error


def test_other_names_of_this_host_and_other_sites_are_refused(http: str):
    for headers in ({"Host": "rebound.example.org"}, {"Origin": "https://elsewhere.example.org"}):
        kinds = {"Accept": "application/json, text/event-stream"}
        answer = urllib3.request("POST", http, json={}, headers={**kinds, **headers}, retries=False)
        assert answer.status in (403, 421)
