"""Tools of the Model Context Protocol, by the SDK's client in this process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

import naiad
from naiad.tasks.served import ServedTasks
from naiad.ui.allowed_folders import AllowedFolders

pytest.importorskip("mcp", reason="the extra mcp is not installed")

from mcp import Client

from naiad.ui.mcp import Agents
from naiad.ui.tools import Reply, Tool, Watch


class Broken:
    """A tool whose code fails."""

    name = "broken"

    def title(self) -> str:
        return "broken"

    def about(self) -> str:
        return "Divide by \udce9."

    def takes(self) -> dict[str, Any]:
        return {"type": "object", "properties": {}}

    def gives(self) -> dict[str, Any]:
        return {"type": "object"}

    def call(self, arguments: Mapping[str, Any], watch: Watch) -> Reply:
        raise ZeroDivisionError("by \udce9")


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_an_error_of_a_tasks_code_fails_its_call_alone(mode: str):
    class Broke(Agents):
        def tools(self) -> dict[str, Tool]:
            return {"broken": Broken()}

    with naiad.Client("localhost:1", retries=0) as client:
        agents = Broke(ServedTasks(client), AllowedFolders())
        async with Client(agents.server(), mode=mode) as agent:
            answer = await agent.call_tool("broken", {})
            (tool,) = (await agent.list_tools()).tools
    assert answer.is_error
    assert "broken failed: ZeroDivisionError: by \\udce9" in str(answer.content[0].text)
    assert tool.description == "Divide by \\udce9."


async def test_without_a_server_one_tool_says_so():
    with naiad.Client("localhost:1", retries=0) as client:
        agents = Agents(ServedTasks(client), AllowedFolders())
        async with Client(agents.server()) as agent:
            (tool,) = (await agent.list_tools()).tools
            answer = await agent.call_tool(tool.name, {})
    assert tool.name == "list_models"
    assert answer.is_error
    assert "no server answers at grpc://localhost:1" in str(answer.content)
