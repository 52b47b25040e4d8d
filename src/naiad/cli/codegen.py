"""``naiad codegen``: write client types in other languages, and the OpenAPI document."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from naiad.cli.options import Force, Url
from naiad.console import refuse_existing, say

app = typer.Typer(
    help="Write client types in other languages, and the OpenAPI document.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

Output: TypeAlias = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="File; by default standard output."),
]


@app.callback()
def group() -> None:
    """Write client types in other languages, and the OpenAPI document."""


@app.command()
def openapi(
    url: Url = "localhost:8001",
    file_out: Output = None,
    force: Force = False,
) -> None:
    """Write the OpenAPI 3.1 document of a running server: its models and its tasks.

    Each model's KServe v2 request and answer with shapes, named dimensions and units, and
    `POST /v1/tasks/NAME` for each task, with examples that the server has answered.

    [bold]Examples[/]

      naiad codegen openapi -o openapi.json
      naiad codegen openapi --url grpcs://gpu.example.org:8443 --api-key-file key.txt
    """
    from naiad.cli.connect import open_client
    from naiad.client.address import Address
    from naiad.server_card import url_of
    from naiad.tasks.served import ServedTasks
    from naiad.ui.openapi import server_document

    place = Address.parse(url).place
    http_url = url if url.startswith("http") else url_of(place, "HTTP") or ""
    page = url_of(place, "page") or "http://localhost:7860/ui"
    with open_client(url) as client:
        made = server_document(
            ServedTasks(client), http_url=http_url, tasks_url=page.removesuffix("/ui")
        )
    _write(f"{json.dumps(made, indent=1)}\n", file_out, force)


def _write(text: str, file_out: Path | None, force: bool) -> None:
    if file_out is None:
        typer.echo(text, nl=False)
        return
    refuse_existing(file_out, force)
    file_out.parent.mkdir(parents=True, exist_ok=True)
    file_out.write_text(text, "utf-8")
    say("wrote ", (str(file_out), "bold"))


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
    file_out: Output = None,
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
    _write(text, file_out, force)
