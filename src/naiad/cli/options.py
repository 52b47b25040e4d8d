"""Options shared by several commands: one name, meaning and help text each."""

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
    """Return an option for a time above 0, such as ``250ms``, or a number of seconds."""
    return typer.Option(*names, metavar="TIME", help=help, parser=_above_0, **about)


def _above_0(text: str | float) -> float:
    if not isinstance(text, str):
        return text
    try:
        value = seconds(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    if not 0 < value < float("inf"):
        raise typer.BadParameter(f"{text!r} is not a time above 0, such as 250ms, 10s or 2m")
    return value


Url: TypeAlias = Annotated[
    str,
    typer.Option(
        help="The server: host:port or unix:PATH for gRPC, http://host:port for HTTP; grpcs:// and "
        "https:// use TLS."
    ),
]
Health: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Health port of a server on another host, through a tunnel or TLS: the request "
        "carries the control key of NAIAD_CONTROL_KEY.",
    ),
]
_PANEL = "Authentication and TLS"
ApiKey: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="KEY",
        help="API key. Other users of this machine can see it in the list of processes: prefer a "
        "file or the environment variable NAIAD_API_KEY.",
        rich_help_panel=_PANEL,
    ),
]
ApiKeyFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="File with the API key; by default $NAIAD_API_KEY is used.",
        rich_help_panel=_PANEL,
    ),
]
Ca: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="PEM file of the certificate authority to trust; by default $NAIAD_CA, or the "
        "system's.",
        rich_help_panel=_PANEL,
    ),
]
Local: TypeAlias = Annotated[
    bool, typer.Option("--local", help="Start a server for this command only.")
]
Weights: TypeAlias = Annotated[
    Path | None, typer.Option(help="With --local: your own weights, a file or folder.")
]
ModelName: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NAME",
        help="Name of the model on the server, if it is served under another one.",
    ),
]
Force: TypeAlias = Annotated[bool, typer.Option("--force", help="Overwrite existing files.")]
Notice: TypeAlias = Annotated[
    str, typer.Option(help="Notice for users of the weights, kept and shown with them.")
]


def server_asked(url: str, *, local: bool, weights: Path | None) -> str | None:
    """Return the server to ask; None to start one.

    Raises:
        BadParameter: weights are given for a running server.
    """
    if weights is not None and not local:
        raise typer.BadParameter("--weights requires --local; a running server has its own")
    return None if local else url
