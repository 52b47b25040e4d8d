"""GAT on the command line: ``naiad infer|simulate|train gat``, ``naiad weights import gat``.

Read at the start of every ``naiad`` command: heavy modules are imported inside the functions.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from naiad.cli.options import Force, Local, Notice, Seconds, Url, Weights, server_asked, time_option
from naiad.cli.training import report_training, report_weights
from naiad.console import progress_bar, refuse_existing, say


def infer(
    file: Annotated[
        Path, typer.Argument(help="A graph, .npz, or planetoid's folder.", show_default=False)
    ],
    url: Url = "localhost:8001",
    local: Local = False,
    weights: Weights = None,
    file_out: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write .csv, .parquet or .npz."),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw the graph, coloured by topic: .png, .svg, .pdf."),
    ] = None,
    timeout: Annotated[float, time_option("Time for the answer.")] = Seconds(60),
    force: Force = False,
) -> None:
    """Tell the topic of each paper in a citation graph, with a served GAT.

    [bold]Examples[/]

      naiad simulate gat -o graph.npz
      naiad infer gat graph.npz --plot graph.png
      naiad infer gat graph.npz -o topics.csv --url gpu-server:8001
      naiad infer gat graph.npz --local --weights my-weights/
    """
    server = server_asked(url, local=local, weights=weights)
    from naiad.applications.gat.infer_file import Job, infer_file

    job = Job(file=file, output=file_out, plot=plot, timeout=timeout, force=force)
    infer_file(job, server, weights)


def simulate(
    number: Annotated[int, typer.Option("-n", min=1, help="How many papers.")] = 300,
    file_out: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help=".npz file to write.")
    ] = Path("graph.npz"),
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same graph.")] = 0,
    force: Force = False,
) -> None:
    """Make a synthetic citation graph, with topics, for trying and training.

    [bold]Examples[/]

      naiad simulate gat -n 300 -o graph.npz
      naiad simulate gat -n 2000 -o training.npz --seed 7
    """
    refuse_existing(file_out, force)
    from naiad.applications.gat.graphs import write_graph
    from naiad.applications.gat.simulate import simulate as make

    graph = make(number, seed)
    write_graph(file_out, graph)
    say(
        f"wrote {len(graph):,} papers and {graph.edge_index.shape[1]:,} edges to "
        f"[bold]{escape(str(file_out))}[/]"
    )


def train(
    directory: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the weights.")
    ],
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="A graph with topics, .npz, or the folder with planetoid's ind.cora.* files; by "
            "default a synthetic graph.",
        ),
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="At most so many.")] = 300,
    lr: Annotated[float, typer.Option(min=0.0, help="Learning rate.")] = 5e-3,
    patience: Annotated[
        int, typer.Option(min=1, help="Stop after so many epochs that were no better.")
    ] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Of the weights, and of dropout.")] = 0,
    notice: Notice = "",
    force: Force = False,
) -> None:
    """Train a GAT with PyTorch Geometric on a citation graph such as Cora.

    Writes the weights, a picture of how it went (curve.png) and its numbers.

    [bold]Examples[/]

      naiad train gat --data planetoid/data/ -o cora-weights/
      naiad train gat --data my-graph.npz -o my-weights/ --epochs 500
      naiad serve gat --weights my-weights/
    """
    refuse_existing(directory, force)
    from naiad.applications.gat.display import draw_training
    from naiad.applications.gat.graphs import read_graph
    from naiad.applications.gat.simulate import simulate as make
    from naiad.applications.gat.train import Epoch
    from naiad.applications.gat.train import train as fit

    graph = make(2_000, seed) if data is None else read_graph(data)
    words = notice or f"trained on {graph.source}"
    with progress_bar("training", epochs, unit="epochs") as advance_to:

        def show(number: int, epoch: Epoch) -> None:
            label = f"loss {epoch.loss:.3f}, validation {epoch.validation_accuracy:.1%}"
            advance_to(number + 1, epochs, label)

        result = fit(
            graph,
            directory,
            epochs=epochs,
            lr=lr,
            patience=patience,
            seed=seed,
            notice=words,
            command=shlex.join(["naiad", *sys.argv[1:]]),
            progress=show,
        )
    draw_training(result.epochs, result.best_epoch, directory / "curve.png", words)
    report_training(
        "papers",
        result.papers,
        result.epochs,
        result.best_epoch,
        result.seconds,
        result.test_accuracy,
    )
    report_weights(directory, "gat", words)


def import_weights(
    checkpoint: Annotated[
        Path,
        typer.Argument(help="What torch.save(model.state_dict(), FILE) wrote.", show_default=False),
    ],
    directory: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the weights.")
    ],
    classes: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...", help="Names of the classes, in order; by default Cora's topics."
        ),
    ] = None,
    raw_features: Annotated[
        bool,
        typer.Option(
            "--raw-features", help="Features were not scaled to sum to 1 per row in training."
        ),
    ] = False,
    notice: Notice = "",
    force: Force = False,
) -> None:
    """Turn a PyTorch Geometric checkpoint of two GATConv layers into a folder of weights.

    Nothing in the checkpoint is run: it is read as tensors only.

    [bold]Examples[/]

      naiad weights import gat gat_cora.pt -o cora-weights/
      naiad serve gat --weights cora-weights/
    """
    refuse_existing(directory, force)
    from naiad.applications.gat.planetoid import TOPICS
    from naiad.applications.gat.weights import import_checkpoint

    names = TOPICS if classes is None else tuple(name.strip() for name in classes.split(","))
    import_checkpoint(
        checkpoint,
        directory,
        classes=names,
        row_normalised=not raw_features,
        notice=notice,
    )
    report_weights(directory, "gat")
