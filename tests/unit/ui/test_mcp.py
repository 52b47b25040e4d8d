"""Tools of the Model Context Protocol, by the SDK's client in this process."""

from __future__ import annotations

import pytest

import naiad
from naiad.tasks.served import ServedTasks
from naiad.ui.allowed_folders import AllowedFolders

pytest.importorskip("mcp", reason="the extra mcp is not installed")

from mcp import Client

from naiad.ui.mcp import Agents


async def test_without_a_server_one_tool_says_so():
    with naiad.Client("localhost:1", retries=0) as client:
        agents = Agents(ServedTasks(client), AllowedFolders())
        async with Client(agents.server()) as agent:
            (tool,) = (await agent.list_tools()).tools
            answer = await agent.call_tool(tool.name, {})
    assert tool.name == "list_models"
    assert answer.is_error
    assert "no server answers at grpc://localhost:1" in str(answer.content)
