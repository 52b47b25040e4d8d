"""``naiad mcp``: tools for agents, by the Model Context Protocol."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from naiad.cli.connect import open_client, read_key
from naiad.cli.options import Url
from naiad.console import say
from naiad.errors import EngineError, MissingExtra


def mcp(
    url: Url = "localhost:8001",
    folder: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            help="Agents may name files in and below this folder; may be repeated. Without it, "
            "none.",
        ),
    ] = None,
    http: Annotated[
        int | None,
        typer.Option(
            metavar="PORT",
            help="Serve at this port of loopback, which all users of this host can reach, instead "
            "of standard input and output.",
            min=1,
            max=65535,
        ),
    ] = None,
    http_key_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File with a key that agents must send with [bold]--http[/], as Authorization: "
            "Bearer KEY.",
        ),
    ] = None,
    max_file_mb: Annotated[
        int,
        typer.Option(metavar="MB", help="Maximum size of the files of a call, together.", min=1),
    ] = 1_000,
) -> None:
    """Offer the models of a running server to agents, as tools of the Model Context Protocol.

    Each task has a tool, and so has each model without one. Tools only read: an agent can neither
    load models nor write files. Agents start this command by themselves and speak to its standard
    input and output; with [bold]--http[/] several share one at http://127.0.0.1:PORT/mcp.

    [bold]Examples[/]

      naiad mcp
      naiad mcp --folder events/ --url grpcs://gpu.example.org:8443 --api-key-file key.txt
      naiad mcp --http 7870 --folder events/ --http-key-file agents.txt
    """
    if find_spec("mcp") is None:
        raise MissingExtra("mcp", "mcp")
    from naiad.tasks.served import ServedTasks
    from naiad.triton.ports import in_use, is_free
    from naiad.ui.allowed_folders import AllowedFolders
    from naiad.ui.mcp import Agents, run_http, run_stdio

    if http is not None and folder and http_key_file is None:
        raise typer.BadParameter(
            "all users of this host could read files in --folder; give agents a key with "
            "--http-key-file, or let each start `naiad mcp` without --http"
        )
    if http is None and http_key_file is not None:
        raise typer.BadParameter("--http-key-file is for --http")
    key = read_key("--http-key-file", http_key_file) if http_key_file is not None else ""
    folders = AllowedFolders(folder or (), max_file_mb * 1_000_000)
    if http is not None and not is_free("127.0.0.1", http):
        raise EngineError(in_use("MCP", http))
    with open_client(url) as client:
        agents = Agents(ServedTasks(client), folders)
        if http is None:
            run_stdio(agents)
            return
        say(f"http://127.0.0.1:{http}/mcp, for {url}; Ctrl-C stops it")
        run_http(agents, http, key)
