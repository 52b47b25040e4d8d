"""Zero-shot classification on the command line: ``naiad infer|weights import zero_shot``.

Read at the start of every ``naiad`` command: heavy modules are imported inside the functions.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from naiad.cli.options import Force, Local, Notice, Seconds, Url, Weights, server_asked, time_option
from naiad.console import output, refuse_existing


def infer(
    texts: Annotated[
        list[str] | None,
        typer.Argument(metavar="TEXT...", help="What to classify.", show_default=False),
    ] = None,
    labels: Annotated[
        str, typer.Option(metavar="A,B,C", help="What each text may be, with commas between.")
    ] = "",
    file: Annotated[
        list[Path] | None,
        typer.Option(
            "--file",
            "-f",
            metavar="FILE",
            help="Texts, one per line; - is standard input. May be repeated.",
        ),
    ] = None,
    template: Annotated[
        str,
        typer.Option(help="A sentence with {} for the label, instead of the network's own."),
    ] = "",
    multi_label: Annotated[
        bool, typer.Option("--multi-label", help="Several labels may fit a text, or none.")
    ] = False,
    top: Annotated[int, typer.Option(min=1, help="How many of the best labels to show.")] = 10,
    csv: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a table: a row per text, a column per label."),
    ] = None,
    url: Url = "localhost:8001",
    local: Local = False,
    weights: Weights = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Texts with the server at once.")] = 8,
    timeout: Annotated[float, time_option("Time per text.")] = Seconds(60),
    force: Force = False,
) -> None:
    """Say which labels fit texts, with a served network that was trained on none of them.

    One that is refused is reported; the others go on; the status is 1.

    [bold]Examples[/]

      naiad infer zero_shot "Who are you voting for?" --labels "business,politics,space and science"
      naiad infer zero_shot -f headlines.txt --labels sports,economy --csv labels.csv
      tail -n 100 mails.txt | naiad infer zero_shot -f - --labels urgent,spam --multi-label
    """
    server = server_asked(url, local=local, weights=weights)
    if not texts and not file:
        raise typer.BadParameter("give a TEXT, or --file with a text per line")
    from naiad.applications.text.zero_shot.infer_file import Job, infer_texts

    job = Job(
        texts=texts or (),
        files=file or (),
        labels=[label.strip() for label in labels.split(",")] if labels else (),
        hypothesis_template=template,
        multi_label=multi_label,
        top=top,
        csv=csv,
        concurrency=concurrency,
        timeout=timeout,
        force=force,
    )
    if infer_texts(job, server, weights):
        raise typer.Exit(1)


def import_weights(
    source: Annotated[
        str,
        typer.Argument(
            help="A folder as Hugging Face has them, or a name there, such as "
            "facebook/bart-large-mnli.",
            show_default=False,
        ),
    ],
    directory: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the weights.")
    ],
    int8: Annotated[
        bool, typer.Option("--int8", help="Compute an encoder's matrix products in 8 bits.")
    ] = False,
    template: Annotated[
        str | None,
        typer.Option(help="Of a network for entailment: a sentence with {} for the label."),
    ] = None,
    notice: Notice = "",
    force: Force = False,
) -> None:
    """Make a folder of a sentence encoder, or of a network for entailment, ready to be served.

    The network is tried before anything is kept. No code that comes with it is
    run, and no pickle is read: it must be safetensors or ONNX. A name is
    downloaded from Hugging Face, which needs a network.

    [bold]Examples[/]

      naiad weights import zero_shot all-MiniLM-L6-v2 --int8 -o small/
      naiad weights import zero_shot BAAI/bge-small-en-v1.5 -o bge/
      naiad weights import zero_shot facebook/bart-large-mnli -o bart/
      naiad serve zero_shot --weights bart/
    """
    refuse_existing(directory, force)
    from naiad.applications.text.zero_shot.facts import EntailmentFacts
    from naiad.applications.text.zero_shot.importing import import_network

    facts = import_network(
        source, directory, int8=int8, template=template, notice=notice, progress=True
    )
    if isinstance(facts, EntailmentFacts):
        about = f"a network for entailment, asked {facts.template!r}"
    else:
        about = f"a sentence encoder, {facts.dimension} numbers per text, {facts.precision}"
    where = escape(str(directory))
    output.print(f"{escape(about)}; reads {facts.max_tokens:,} tokens of a text", highlight=False)
    output.print(
        f"wrote [bold]{where}[/]; serve it: naiad serve zero_shot --weights "
        f"{escape(shlex.quote(str(directory)))}",
        highlight=False,
        soft_wrap=True,
    )
