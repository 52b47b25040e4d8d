"""A server of the Model Context Protocol: a tool for each task and model of a running server.

It holds no model and changes nothing; whatever is loaded or unloaded later is noticed.
"""

from __future__ import annotations

import base64
import logging
import threading
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import anyio
import anyio.from_thread
import anyio.to_thread
from mcp.server import NotificationOptions, Server, ServerRequestContext
from mcp.server.models import InitializationOptions
from mcp.server.session import ServerSession
from mcp.server.stdio import stdio_server
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ToolsListChanged
from mcp.shared.exceptions import MCPError
from mcp.types import (
    CallToolRequestParams,
    CallToolResult,
    ImageContent,
    ListToolsResult,
    NotificationParams,
    PaginatedRequestParams,
    TextContent,
    ToolAnnotations,
)
from mcp.types import Tool as ToolEntry

from naiad import __version__
from naiad.error_text import described
from naiad.errors import NaiadError
from naiad.printable import encodable
from naiad.tasks.served import ServedTasks
from naiad.ui.allowed_folders import AllowedFolders
from naiad.ui.bearer import Bearer
from naiad.ui.models_tool import ModelsTool
from naiad.ui.task_tool import TaskTool
from naiad.ui.tensor_tool import TensorTool
from naiad.ui.tools import Reply, Tool, Watch, encodable_json, named

MOST_AT_ONCE: Final = 8
LARGEST_MESSAGE: Final = 32_000_000
"""Bytes of a message over HTTP."""

_PERIOD: Final = 3.0  # seconds between looks at the models
_LONGEST_EXIT: Final = 5  # seconds for calls that are being answered
_SESSIONS: Final = 256  # that are told of changes, newest first
_READ_ONLY: Final = ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)
_HOW: Final = (
    "Each tool asks a model that Naiad serves. Files are given by path, and must lie below the "
    "folders that the tool names. Rows are in the structured content. Respect the notices: many "
    "models are not for physics results, or for diagnosis."
)
_GONE: Final = (anyio.ClosedResourceError, anyio.BrokenResourceError, MCPError)
_log = logging.getLogger(__name__)


class _AgentServer(Server[None]):
    """Announces that the list of tools changes."""

    def create_initialization_options(
        self,
        notification_options: NotificationOptions | None = None,
        experimental_capabilities: dict[str, dict[str, Any]] | None = None,
        extensions: dict[str, dict[str, Any]] | None = None,
    ) -> InitializationOptions:
        return super().create_initialization_options(
            notification_options or NotificationOptions(tools_changed=True),
            experimental_capabilities,
            extensions,
        )


class Agents:
    """The tools of a server's tasks and models, and the agents that use them."""

    def __init__(self, tasks: ServedTasks, folders: AllowedFolders) -> None:
        """Ask nothing yet.

        Args:
            tasks: of the server; ``tasks.client`` stays the caller's to close.
            folders: in which agents may name files.
        """
        self._tasks, self._folders = tasks, folders
        self._bus = InMemorySubscriptionBus()
        self._sessions: deque[ServerSession] = deque(maxlen=_SESSIONS)
        self._limiter: anyio.CapacityLimiter | None = None

    def tools(self) -> dict[str, Tool]:
        """Return the tools by name; if the server cannot be reached, the one that says so."""
        made: list[Tool] = [ModelsTool(self._tasks)]
        try:
            calls, models = self._tasks.calls(), self._tasks.models()
        except NaiadError as error:
            _log.warning("%s", error)
            return named(made)
        made += [TaskTool(name, call, self._folders) for name, call in calls.items()]
        with_task = {call.model for call in calls.values()}
        client = self._tasks.client
        for model in models:
            if model in with_task:
                continue
            try:
                made.append(self._tasks.kept(model, lambda name=model: TensorTool(client, name)))
            except NaiadError as error:  # unloaded just now, or not for this key
                _log.warning("%s: %s", model, error)
        return named(made)

    def server(self) -> Server[None]:
        """Return a server of the protocol, for any transport."""
        server = _AgentServer(
            "naiad",
            version=__version__,
            title="Naiad",
            instructions=_HOW,
            lifespan=self._watching,
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
            on_subscriptions_listen=ListenHandler(self._bus),
        )
        server.add_notification_handler(
            "notifications/initialized", NotificationParams, self._joined
        )
        return server

    def entries(self) -> list[ToolEntry]:
        """Return the tools as agents see them."""
        found: list[ToolEntry] = []
        for name, tool in self.tools().items():
            try:
                found.append(_entry(name, tool))
            except NaiadError as error:  # noqa: PERF203 - its model was unloaded just now
                _log.warning("%s: %s", name, error)
        return found

    async def _list_tools(
        self, _: ServerRequestContext[None], __: PaginatedRequestParams | None
    ) -> ListToolsResult:
        return ListToolsResult(tools=await anyio.to_thread.run_sync(self.entries))

    async def _call_tool(
        self, context: ServerRequestContext[None], asked: CallToolRequestParams
    ) -> CallToolResult:
        gone = threading.Event()

        def advance(done: int) -> None:
            anyio.from_thread.run(context.session.report_progress, float(done))

        def reply() -> Reply:
            tools = self.tools()
            if asked.name not in tools:
                known = ", ".join(tools)
                return Reply(f"no tool {asked.name!r}; tools: {known}", failed=True)
            try:
                watch = Watch(lambda: not gone.is_set(), advance)
                return tools[asked.name].call(asked.arguments or {}, watch)
            except NaiadError as error:
                return Reply(str(error), failed=True)
            except Exception as error:  # of a task's own code: this call's alone
                _log.exception("%s", asked.name)
                return Reply(f"{asked.name} failed: {described(error)}", failed=True)

        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(MOST_AT_ONCE)
        try:
            made = await anyio.to_thread.run_sync(
                reply, abandon_on_cancel=True, limiter=self._limiter
            )
        finally:
            gone.set()
        return _result(made)

    async def _joined(self, context: ServerRequestContext[None], _: NotificationParams) -> None:
        self._sessions.append(context.session)

    @asynccontextmanager
    async def _watching(self, _: Server[None]) -> AsyncGenerator[None]:
        async with anyio.create_task_group() as group:
            group.start_soon(self._watch)
            yield None
            group.cancel_scope.cancel()

    async def _watch(self) -> None:
        """Tell agents when tools come, go or change."""
        known = await anyio.to_thread.run_sync(self.entries, abandon_on_cancel=True)
        while True:
            await anyio.sleep(_PERIOD)
            found = await anyio.to_thread.run_sync(self.entries, abandon_on_cancel=True)
            if found == known:
                continue
            known = found
            await self._bus.publish(ToolsListChanged())
            for session in list(self._sessions):
                try:
                    await session.send_tool_list_changed()
                except _GONE:  # noqa: PERF203
                    with suppress(ValueError):
                        self._sessions.remove(session)


def run_stdio(agents: Agents) -> None:
    """Serve the agent that started this process, until it closes standard input."""

    async def serve() -> None:
        server = agents.server()
        async with stdio_server() as (read, write):
            await server.run(read, write, server.create_initialization_options())

    anyio.run(serve)


def run_http(agents: Agents, port: int, key: str = "") -> None:
    """Serve agents of this host at ``http://127.0.0.1:PORT/mcp``, until SIGINT or SIGTERM.

    Requests with another name in their Host header, and from pages of other sites, are refused; so
    are those without the ``key``, if there is one.
    """
    import uvicorn

    app = agents.server().streamable_http_app(max_request_body_size=LARGEST_MESSAGE)
    uvicorn.run(
        Bearer(app, key) if key else app,
        host="127.0.0.1",
        port=port,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=_LONGEST_EXIT,
    )


def _entry(name: str, tool: Tool) -> ToolEntry:
    return ToolEntry(
        name=name,
        title=tool.title(),
        description=encodable(tool.about()),
        input_schema=encodable_json(tool.takes()),
        output_schema=encodable_json(tool.gives()),
        annotations=_READ_ONLY,
    )


def _result(reply: Reply) -> CallToolResult:
    pictures = [
        ImageContent(type="image", data=base64.b64encode(one).decode(), mime_type="image/png")
        for one in reply.pictures
    ]
    return CallToolResult(
        content=[TextContent(type="text", text=encodable(reply.text)), *pictures],
        structured_content=encodable_json(reply.content) or None,
        is_error=reply.failed,
    )
