"""NuGraph3 on the command line: ``naiad infer|simulate|train nugraph3``, ``naiad weights import``.

Read at the start of every ``naiad`` command: heavy modules are imported inside the functions.
"""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from naiad.cli.options import Force, Local, Notice, Seconds, Url, Weights, server_asked, time_option
from naiad.console import output, progress_bar, refuse_existing


class EventSize(str, Enum):
    """How large simulated events are."""

    small = "small"
    large = "large"


def infer(
    file: Annotated[Path, typer.Argument(help="HDF5 file of events.", show_default=False)],
    events: Annotated[
        str | None,
        typer.Option(
            metavar="FIRST:STOP[:STEP]",
            help="Which events, counted from 0, as Python slices; or a single number.",
        ),
    ] = None,
    url: Url = "localhost:8001",
    local: Local = False,
    weights: Weights = None,
    file_out: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write results: .h5 or .parquet."),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Draw each event into this folder, as PNG."),
    ] = None,
    truth: Annotated[
        bool, typer.Option("--truth", help="With --plot: draw the truth too, where known.")
    ] = False,
    full: Annotated[
        bool, typer.Option("--full", help="With --plot: show all hits, not a closer look.")
    ] = False,
    concurrency: Annotated[int, typer.Option(min=1, help="Events with the server at once.")] = 8,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Refuse events whose spacepoints name unknown hits."),
    ] = False,
    timeout: Annotated[float, time_option("Time per event.")] = Seconds(60),
    force: Force = False,
) -> None:
    """Label hits, classify events and find vertices, with a served NuGraph3.

    Prints each of a few events, or a summary of many. An event that cannot be
    read, or that is refused, is reported; the others go on; the status is 1.

    [bold]Examples[/]

      naiad infer nugraph3 events.h5
      naiad infer nugraph3 events.h5 --events 0:10 --plot pictures/
      naiad infer nugraph3 events.h5 -o results.parquet --concurrency 16
      naiad infer nugraph3 events.h5 --url grpc://gpu-server:8001 -o results.h5
      naiad infer nugraph3 events.h5 --local
    """
    server = server_asked(url, local=local, weights=weights)
    chosen = parse_events(events)
    from naiad.applications.nugraph.infer_file import Job, infer_events

    job = Job(
        file=file,
        events=chosen,
        output=file_out,
        plot=plot,
        truth=truth,
        zoom=not full,
        concurrency=concurrency,
        strict=strict,
        timeout=timeout,
        force=force,
    )
    failed = infer_events(job, server, weights)
    if failed:
        raise typer.Exit(1)


def simulate(
    number: Annotated[int, typer.Option("-n", min=1, help="How many events.")] = 100,
    file_out: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="HDF5 file to write.")
    ] = Path("events.h5"),
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same events.")] = 0,
    size: Annotated[
        EventSize, typer.Option(help="About 200 or 1,300 hits per event.")
    ] = EventSize.small,
    force: Force = False,
) -> None:
    """Simulate neutrino events in a liquid-argon detector, with truth, for trying and training.

    A toy, not for physics: tracks and showers from a vertex, cosmic rays and
    noise, on three wire planes. Written in pynuml's layout.

    [bold]Examples[/]

      naiad simulate nugraph3 -n 1000 -o events.h5 --seed 7
      naiad simulate nugraph3 -n 50 -o large.h5 --size large
    """
    refuse_existing(file_out, force)
    from naiad.applications.nugraph.events import write_events
    from naiad.applications.nugraph.simulate import simulate as make

    began = time.perf_counter()
    with progress_bar("simulating", number, unit="events") as advance_to:
        written = write_events(file_out, make(number, seed, size=size.value), progress=advance_to)
    output.print(
        f"wrote {written:,} event{'' if written == 1 else 's'} to [bold]{escape(str(file_out))}[/] "
        f"in {time.perf_counter() - began:.1f} s",
        highlight=False,
        soft_wrap=True,
    )


def train(
    events: Annotated[
        Path, typer.Option("--events", metavar="FILE", help="Events with truth, HDF5.")
    ],
    directory: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the weights.")
    ],
    epochs: Annotated[int, typer.Option(min=1, help="At most so many.")] = 10,
    batch: Annotated[int, typer.Option(min=1, help="Events per step.")] = 16,
    lr: Annotated[float, typer.Option(min=0.0, help="Largest learning rate.")] = 2e-3,
    patience: Annotated[
        int, typer.Option(min=1, help="Stop after so many epochs that were no better.")
    ] = 3,
    seed: Annotated[int, typer.Option(min=0, help="Of the split and of the weights.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch.")] = 1,
    notice: Notice = "trained on simulated events, not for physics",
    force: Force = False,
) -> None:
    """Train NuGraph3 on a file of events with truth; a tenth of them is held out to judge it.

    [bold]Examples[/]

      naiad simulate nugraph3 -n 5000 -o events.h5
      naiad train nugraph3 --events events.h5 -o my-weights/
      naiad serve nugraph3 --weights my-weights/
    """
    refuse_existing(directory, force)
    from naiad.applications.nugraph.train import Progress as Step
    from naiad.applications.nugraph.train import train as fit

    with progress_bar("reading events", None, unit="steps") as advance_to:

        def show(step: Step) -> None:
            best = "" if step.validation_loss is None else f", held out {step.validation_loss:.3f}"
            advance_to(
                step.epoch * step.batches + step.batch,
                step.epochs * step.batches,
                f"epoch {step.epoch + 1} of {step.epochs}, loss {step.loss:.3f}{best}",
            )

        result = fit(
            events,
            directory,
            epochs=epochs,
            batch_events=batch,
            lr=lr,
            seed=seed,
            patience=patience,
            threads=threads,
            notice=notice,
            command=shlex.join(["naiad", *sys.argv[1:]]),
            progress=show,
        )
    _print_training(result.metrics, result.events)
    output.print(
        f"wrote [bold]{escape(str(directory))}[/] after {result.seconds:.0f} s, "
        f"from epoch {result.best_epoch + 1}; "
        f"serve it: naiad serve nugraph3 --weights {escape(shlex.quote(str(directory)))}",
        highlight=False,
        soft_wrap=True,
    )
    if notice:
        output.print(f"[yellow]{escape(notice)}[/]", highlight=False)


def import_weights(
    checkpoint: Annotated[
        Path, typer.Argument(help="Lightning checkpoint of NuGraph3, .ckpt.", show_default=False)
    ],
    directory: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the weights.")
    ],
    normalisation: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="JSON with the mean and std of each plane's features; by default those of the "
            "public MicroBooNE data set.",
        ),
    ] = None,
    notice: Notice = "",
    force: Force = False,
) -> None:
    """Turn a Lightning checkpoint of NuGraph3 into a folder of safetensors and JSON.

    Nothing in the checkpoint is run: only tensors and plain values are read, and
    anything else in it is a reason to refuse it.

    [bold]Examples[/]

      naiad weights import nugraph3 hierarchical.ckpt -o nugraph3-weights/
      naiad serve nugraph3 --weights nugraph3-weights/
    """
    refuse_existing(directory, force)
    from naiad.applications.nugraph.weights import import_checkpoint

    import_checkpoint(checkpoint, directory, normalisation=normalisation, notice=notice)
    output.print(
        f"wrote [bold]{escape(str(directory))}[/]; "
        f"serve it: naiad serve nugraph3 --weights {escape(shlex.quote(str(directory)))}",
        highlight=False,
        soft_wrap=True,
    )


def parse_events(text: str | None) -> slice:
    """The slice that ``--events`` says.

    Raises:
        typer.BadParameter: it says none.
    """
    if text is None:
        return slice(None)
    try:
        parts = [int(part) if part.strip() else None for part in text.split(":")]
    except ValueError:
        parts = []
    step = parts[2] if len(parts) == 3 else 1
    if parts in ([], [None]) or len(parts) > 3 or (step is not None and step < 1):
        raise typer.BadParameter(
            f"{text!r} is no choice of events; give FIRST:STOP as 0:10, FIRST:STOP:STEP with a "
            "step of 1 or more, or one number",
            param_hint="--events",
        )
    if len(parts) == 1:
        (only,) = parts
        return slice(only, None if only == -1 else (only or 0) + 1)
    return slice(*parts)


def _print_training(metrics: Mapping[str, Any], counts: Mapping[str, int]) -> None:
    """What the held-out events say of the new weights."""
    parts = ", ".join(f"{number:,} {part}" for part, number in counts.items())
    output.print(f"events: {parts}; on those for the test:", highlight=False)
    for kind in ("semantic", "event"):
        table = Table(f"{kind} class", box=None, padding=(0, 2, 0, 2))
        table.add_column("recall", justify="right")
        table.add_column("precision", justify="right")
        for name, recall in metrics[f"{kind}_recall"].items():
            table.add_row(name, _share(recall), _share(metrics[f"{kind}_precision"][name]))
        table.add_row("accuracy", _share(metrics[f"{kind}_accuracy"]), style="bold")
        output.print(table)
    for name in ("filter_accuracy", "filter_recall", "filter_precision"):
        output.print(f"  {name.replace('_', ' ')}: {_share(metrics[name])}", highlight=False)
    output.print(f"  vertex: half within {metrics['vertex_median_cm']} cm", highlight=False)


def _share(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"
