"""``naiad artifacts``: list public files that Naiad can download, and download them."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.filesize import decimal
from rich.table import Table

from naiad.console import output

app = typer.Typer(
    help="List and download public files: checkpoints, networks, labels and events.",
    no_args_is_help=True,
)


@app.command("list")
def list_artifacts() -> None:
    """List the files with their size, purpose, licence, and path once downloaded."""
    from naiad import artifacts

    table = Table()
    table.add_column("name", no_wrap=True)
    for title in ("size", "what it is", "licence", "here"):
        table.add_column(title)
    for artifact in artifacts.known():
        path = artifacts.path_if_present(artifact.name)
        table.add_row(
            artifact.name,
            "" if artifact.size is None else decimal(artifact.size),
            artifact.about,
            artifact.licence,
            str(path) if path else "no",
        )
    output.print(table)


@app.command("get")
def get_artifact(
    name: Annotated[str, typer.Argument(help="Name from `naiad artifacts list`.")],
) -> None:
    """Download a file, check its hash, and print its path."""
    from naiad.artifacts import get

    typer.echo(get(name, progress=True))
