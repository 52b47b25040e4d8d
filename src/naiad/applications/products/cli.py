"""Commands of products alone: ``naiad products embed|recommend``.

Imported by ``naiad --help``: heavy modules are imported inside the functions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from naiad.cli.options import Url

commands = typer.Typer(
    name="products",
    help="What is bought together: embeddings in a graph store, and recommendations from it.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


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
    from naiad.applications.products.commands import print_recommendations

    print_recommendations(basket, k, graph_weight, unseen, url)
