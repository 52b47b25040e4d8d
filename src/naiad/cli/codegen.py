"""``naiad codegen``: write client types in other languages from a pipeline's schema."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from naiad.cli.options import Force
from naiad.console import refuse_existing, say

app = typer.Typer(
    help="Write client types in other languages from a pipeline's schema.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


@app.callback()
def group() -> None:
    """Write client types in other languages from a pipeline's schema."""


@app.command()
def cpp(
    pipeline: Annotated[
        str,
        typer.Argument(help="A built-in name, or my_model.py:MyModel.", show_default=False),
    ],
    weights: Annotated[
        Path | None,
        typer.Option(
            help="Weights, a file or folder, for a pipeline whose tensors depend on them.",
        ),
    ] = None,
    file_out: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="File for the header; by default standard output.",
        ),
    ] = None,
    force: Force = False,
) -> None:
    """Write a C++ header that declares requests and answers as structs of vectors.

    It is for the client library naiad-client, which checks names, datatypes and shapes against the
    schema before it sends a request.

    [bold]Examples[/]

      naiad codegen cpp nugraph3 -o nugraph3.hpp
      naiad codegen cpp nugraph3 --weights my-weights/ -o nugraph3.hpp
      naiad codegen cpp my_model.py:MyModel -o my_model.hpp
    """
    from naiad.codegen.cpp import header
    from naiad.core.pipeline import load_pipeline, with_weights

    kind = with_weights(load_pipeline(pipeline), weights)
    kind(weights)  # reports missing weights
    text = header(kind, pipeline if weights is None else f"{pipeline} --weights {weights.name}")
    if file_out is None:
        typer.echo(text, nl=False)
        return
    refuse_existing(file_out, force)
    file_out.parent.mkdir(parents=True, exist_ok=True)
    file_out.write_text(text, "utf-8")
    say("wrote ", (str(file_out), "bold"))
