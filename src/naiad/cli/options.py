"""Options that several commands have, with one name, meaning and help text each.

Read at the start of every ``naiad`` command.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

Url: TypeAlias = Annotated[
    str, typer.Option(help="The server; host:port for gRPC, http://host:port for HTTP.")
]
Local: TypeAlias = Annotated[
    bool, typer.Option("--local", help="Start a server for this command alone.")
]
Weights: TypeAlias = Annotated[
    Path | None, typer.Option(help="With --local: weights of yours, a file or folder.")
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
