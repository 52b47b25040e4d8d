"""Products on the command line: ``naiad infer|simulate|train products``, ``naiad weights import
products``, and ``naiad products embed|recommend``.

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

commands = typer.Typer(
    name="products",
    help="What is bought together: embeddings in a graph store, and recommendations from it.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

_Fanouts = Annotated[
    str,
    typer.Option(
        metavar="A,B,...", help="Neighbours sampled per product at each hop, the nearest first."
    ),
]


def infer(
    products: Annotated[
        list[int],
        typer.Argument(metavar="PRODUCT...", help="Numbers of products.", show_default=False),
    ],
    top: Annotated[int, typer.Option(min=1, help="How many categories to show of each.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="Of the sampling of neighbours.")] = 0,
    url: Url = "localhost:8001",
    local: Local = False,
    weights: Weights = None,
    file_out: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write .csv, .parquet or .npz."),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Draw the products by their embeddings: .png, .svg, .pdf."
        ),
    ] = None,
    timeout: Annotated[float, time_option("Time for the answer.")] = Seconds(60),
    force: Force = False,
) -> None:
    """Tell the category of products in a co-purchase graph, with a served GraphSAGE.

    [bold]Examples[/]

      naiad infer products 17 42 --top 5
      naiad infer products 17 42 -o categories.csv --url gpu-server:8001
      naiad infer products 17 --local --weights my-weights/
    """
    server = server_asked(url, local=local, weights=weights)
    from naiad.applications.products.infer_file import Job, infer_products

    job = Job(
        products=products,
        top=top,
        seed=seed,
        output=file_out,
        plot=plot,
        timeout=timeout,
        force=force,
    )
    infer_products(job, server, weights)


def simulate(
    number: Annotated[int, typer.Option("-n", min=1, help="How many products.")] = 5_000,
    directory: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the graph.")
    ] = Path("shop"),
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same graph.")] = 0,
    force: Force = False,
) -> None:
    """Make a synthetic co-purchase graph, with categories, for trying and training.

    [bold]Examples[/]

      naiad simulate products -n 5000 -o shop
      naiad train products --data shop -o shop-weights
    """
    refuse_existing(directory, force)
    from naiad.applications.products.graph import write_graph
    from naiad.applications.products.simulate import simulate as make

    graph = make(number, seed)
    write_graph(directory, graph)
    say(
        f"wrote {len(graph):,} products and {graph.edges // 2:,} pairs to "
        f"[bold]{escape(str(directory))}[/]"
    )


def train(
    directory: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the weights.")
    ],
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="A graph as `naiad simulate products` writes it, or OGB's folder of "
            "ogbn-products; by default a synthetic graph.",
        ),
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="How often each product is seen.")] = 20,
    batch: Annotated[int, typer.Option(min=1, help="Products per step.")] = 1_024,
    lr: Annotated[float, typer.Option(min=0.0, help="Learning rate.")] = 3e-3,
    hidden: Annotated[int, typer.Option(min=1, help="Numbers of an embedding.")] = 256,
    fanouts: _Fanouts = "15,10,5",
    seed: Annotated[int, typer.Option(min=0, help="Of weights, dropout and sampling.")] = 0,
    notice: Notice = "",
    force: Force = False,
) -> None:
    """Train GraphSAGE on a co-purchase graph.

    Writes the weights, a picture of how it went (curve.png) and its numbers.
    They name the graph that they are served with: that of --data, or a folder
    graph/ beside them where it had to be made.

    [bold]Examples[/]

      naiad train products --data shop -o shop-weights
      naiad train products --data ogbn_products/ -o ogb-weights --epochs 20
      naiad serve products --weights shop-weights
    """
    refuse_existing(directory, force)
    sizes = _parse_fanouts(fanouts)
    from naiad.applications.products.datasets import training_graph
    from naiad.applications.products.display import draw_training
    from naiad.applications.products.train import Epoch
    from naiad.applications.products.train import train as fit

    with progress_bar("reading", None, unit="lines") as advance_to:
        graph, graph_folder = training_graph(
            data, directory, seed, lambda file, lines: advance_to(lines, None, file)
        )
    words = notice or f"trained on {graph.source}"
    with progress_bar("training", epochs, unit="epochs") as advance_to:

        def show(number: int, epoch: Epoch) -> None:
            label = f"loss {epoch.loss:.3f}, validation {epoch.validation_accuracy:.1%}"
            advance_to(number + 1, epochs, label)

        result = fit(
            graph,
            directory,
            graph_folder=graph_folder,
            epochs=epochs,
            batch=batch,
            lr=lr,
            hidden=hidden,
            fanouts=sizes,
            seed=seed,
            notice=words,
            command=shlex.join(["naiad", *sys.argv[1:]]),
            progress=show,
        )
    draw_training(result.epochs, result.best_epoch, directory / "curve.png", words)
    report_training(
        "products",
        result.products,
        result.epochs,
        result.best_epoch,
        result.seconds,
        result.test_accuracy,
    )
    report_weights(directory, "products", words)


def import_weights(
    checkpoint: Annotated[
        Path,
        typer.Argument(help="What torch.save(model.state_dict(), FILE) wrote.", show_default=False),
    ],
    directory: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the weights.")
    ],
    graph: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="The graph to serve them with; none for graph_embeddings."
        ),
    ] = None,
    categories: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Text: a category per line, in the classes' order."),
    ] = None,
    fanouts: _Fanouts = "15,10,5",
    notice: Notice = "",
    force: Force = False,
) -> None:
    """Turn a PyTorch Geometric checkpoint of SAGEConv layers into a folder of weights.

    Nothing in the checkpoint is run: it is read as tensors only.

    [bold]Examples[/]

      naiad weights import products sage.pth.tar -o weights/ --graph shop/
      naiad serve products --weights weights/
      naiad serve graph_embeddings --weights weights/
    """
    refuse_existing(directory, force)
    from naiad.applications.products.graph import open_graph
    from naiad.applications.products.weights import import_checkpoint

    names: tuple[str, ...] | None = None
    if graph is not None:
        names = open_graph(graph).categories or None
    if categories is not None:
        names = tuple(categories.read_text("utf-8").splitlines())
    import_checkpoint(
        checkpoint,
        directory,
        classes=names,
        graph="" if graph is None else str(graph.resolve()),
        fanouts=_parse_fanouts(fanouts),
        notice=notice,
    )
    report_weights(directory, "graph_embeddings" if graph is None else "products")


@commands.command()
def embed(
    graph: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="The graph that the server has; by default that of the weights."
        ),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="The server's weights, where they are not the default ones.")
    ] = None,
    place: Annotated[
        str | None,
        typer.Option(
            "--store",
            metavar="PLACE",
            help="The store, a folder; by default $NAIAD_PRODUCTS, else a folder of your data.",
        ),
    ] = None,
    url: Url = "localhost:8001",
    per_request: Annotated[int, typer.Option(min=1, help="Products of one request.")] = 64,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests at once.")] = 4,
    force: Annotated[
        bool, typer.Option("--force", help="Begin anew, whatever is in the store.")
    ] = False,
) -> None:
    """Fill a graph store: the co-purchase graph, and embeddings by a served model.

    What is interrupted goes on where it was. Others may read meanwhile.

    [bold]Examples[/]

      naiad serve products products_recommend
      naiad products embed
      naiad products recommend 17
    """
    from naiad.applications.products.commands import fill

    fill(graph, weights, place, url, per_request=per_request, concurrency=concurrency, force=force)


@commands.command()
def recommend(
    basket: Annotated[
        list[int],
        typer.Argument(metavar="PRODUCT...", help="Products of the basket.", show_default=False),
    ],
    k: Annotated[int, typer.Option("-k", min=1, max=100, help="How many are wanted.")] = 10,
    graph_weight: Annotated[
        float, typer.Option(min=0, max=1, help="How much the graph counts, against embeddings.")
    ] = 0.5,
    unseen: Annotated[
        bool, typer.Option("--unseen", help="Leave out what was bought with the basket before.")
    ] = False,
    url: Url = "localhost:8001",
) -> None:
    """Say what is bought together with a basket of products, and why.

    [bold]Examples[/]

      naiad products recommend 17
      naiad products recommend 17 42 -k 5 --unseen
    """
    from naiad.applications.products.infer_file import print_recommendations

    print_recommendations(basket, k, graph_weight, unseen, url)


def _parse_fanouts(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"--fanouts {text!r}; give numbers, as 15,10,5") from None
