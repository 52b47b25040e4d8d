"""Vectors of texts on the command line: ``naiad infer text_embedding``.

Read at the start of every ``naiad`` command: heavy modules are imported inside the functions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from naiad.cli.options import Force, Local, Seconds, Url, Weights, server_asked, time_option


def infer(
    texts: Annotated[
        list[str] | None,
        typer.Argument(metavar="TEXT...", help="What to embed.", show_default=False),
    ] = None,
    file: Annotated[
        list[Path] | None,
        typer.Option(
            "--file",
            "-f",
            metavar="FILE",
            help="Texts, one per line; - is standard input. May be repeated.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the vectors, as .npy."),
    ] = None,
    url: Url = "localhost:8001",
    local: Local = False,
    weights: Weights = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests with the server at once.")] = 4,
    timeout: Annotated[float, time_option("Time per request.")] = Seconds(60),
    force: Force = False,
) -> None:
    """Give texts vectors, and show how like the others are to the first.

    The vectors are a row per text, in the order of the texts: float32, which
    `numpy.load` reads.

    [bold]Examples[/]

      naiad infer text_embedding "a heist in space" "robbers on a rocket" "a cookery book"
      naiad infer text_embedding -f descriptions.txt -o vectors.npy
    """
    server = server_asked(url, local=local, weights=weights)
    if not texts and not file:
        raise typer.BadParameter("give a TEXT, or --file with a text per line")
    from naiad.applications.text.embedding.infer_file import Job, embed_texts

    job = Job(
        texts=texts or (),
        files=file or (),
        output=output,
        concurrency=concurrency,
        timeout=timeout,
        force=force,
    )
    embed_texts(job, server, weights)
