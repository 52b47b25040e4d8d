"""Vectors of texts on the command line: ``naiad infer text_embedding``.

Read at the start of every ``naiad`` command: heavy modules are imported inside the functions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


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
    url: Annotated[
        str, typer.Option(help="The server; host:port for gRPC, http://host:port for HTTP.")
    ] = "localhost:8001",
    local: Annotated[
        bool, typer.Option("--local", help="Start a server for this command alone.")
    ] = False,
    weights: Annotated[
        Path | None, typer.Option(help="With --local: a folder of an encoder of yours.")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests with the server at once.")] = 4,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds per request.")] = 60.0,
    force: Annotated[bool, typer.Option("--force", help="Overwrite what is there.")] = False,
) -> None:
    """Give texts vectors, and show how like the others are to the first.

    The vectors are a row per text, in the order of the texts: float32, which
    `numpy.load` reads.

    [bold]Examples[/]

      naiad infer text_embedding "a heist in space" "robbers on a rocket" "a cookery book"
      naiad infer text_embedding -f descriptions.txt -o vectors.npy
    """
    if weights is not None and not local:
        raise typer.BadParameter("--weights are for --local; a running server has its own")
    if not texts and not file:
        raise typer.BadParameter("give a TEXT, or --file with a text per line")
    from naiad.pipelines.sentence_bert.infer_file import Job, embed_texts

    job = Job(
        texts=texts or (),
        files=file or (),
        output=output,
        concurrency=concurrency,
        timeout=timeout,
        force=force,
    )
    embed_texts(job, None if local else url, weights)
