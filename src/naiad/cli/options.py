"""Options that several commands have, with one name, meaning and help text each.

Read at the start of every ``naiad`` command.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from naiad.cli.units import duration, seconds


class Seconds(float):
    """A default in seconds that the help shows as ``10s``."""

    def __str__(self) -> str:
        """Return it as it is typed."""
        return duration(self)


def time_option(help: str, *names: str, **about: Any) -> Any:
    """An option that takes a time above 0, such as ``250ms``, or a number of seconds."""
    return typer.Option(*names, metavar="TIME", help=help, parser=_above_0, **about)


def _above_0(text: str | float) -> float:
    if not isinstance(text, str):
        return text
    try:
        value = seconds(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    if not 0 < value < float("inf"):
        raise typer.BadParameter(f"{text!r} is no time above 0, such as 250ms, 10s or 2m")
    return value


Url: TypeAlias = Annotated[
    str,
    typer.Option(
        help="The server: host:port or unix:PATH for gRPC, http://host:port for HTTP; grpcs:// and "
        "https:// are encrypted."
    ),
]
_PANEL = "Authentication and TLS"
ApiKey: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="KEY",
        help="API key. Others on this machine can read it in the list of processes: a file, or "
        "NAIAD_API_KEY in the environment, is better.",
        rich_help_panel=_PANEL,
    ),
]
ApiKeyFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="File with the API key; default: NAIAD_API_KEY.",
        rich_help_panel=_PANEL,
    ),
]
Ca: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="PEM file of the authority to trust; default: the one that NAIAD_CA names, or the "
        "system's.",
        rich_help_panel=_PANEL,
    ),
]
Local: TypeAlias = Annotated[
    bool, typer.Option("--local", help="Start a server for this command alone.")
]
Weights: TypeAlias = Annotated[
    Path | None, typer.Option(help="With --local: weights of yours, a file or folder.")
]
ModelName: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NAME",
        help="The model's name on the server, where it is served under another one.",
    ),
]
Force: TypeAlias = Annotated[bool, typer.Option("--force", help="Overwrite what is there.")]
Notice: TypeAlias = Annotated[
    str, typer.Option(help="What users of the weights must know; goes wherever they go.")
]


def server_asked(url: str, *, local: bool, weights: Path | None) -> str | None:
    """The server that a command is for; None to start one.

    Raises:
        BadParameter: weights for a server that is running.
    """
    if weights is not None and not local:
        raise typer.BadParameter("--weights are for --local; a running server has its own")
    return None if local else url
