"""Products on the command line: ``naiad products embed|recommend``.

Imported by ``naiad --help``: heavy modules are imported inside the functions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from naiad.cli.options import Url

commands = typer.Typer(
    name="products",
    help="Fill a graph store with products and embeddings, and recommend products from it.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


@commands.command()
def embed(
    graph: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="The graph that the server has. Default: the graph of the weights."
        ),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="The server's weights, if they are not the default ones.")
    ] = None,
    place: Annotated[
        str | None,
        typer.Option(
            "--store",
            metavar="PLACE",
            help="Store, a folder. Default: $NAIAD_PRODUCTS, else ~/.local/share/naiad/products.",
        ),
    ] = None,
    url: Url = "localhost:8001",
    per_request: Annotated[int, typer.Option(min=1, help="Products per request.")] = 64,
    concurrency: Annotated[int, typer.Option(min=1, help="Number of concurrent requests.")] = 4,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing store.")] = False,
) -> None:
    """Fill a graph store with the co-purchase graph and embeddings from a served model.

    To resume after an interruption, run the command again. The store can be read at any time.

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
        typer.Argument(metavar="PRODUCT...", help="Products in the basket.", show_default=False),
    ],
    k: Annotated[int, typer.Option("-k", min=1, max=100, help="Number of picks.")] = 10,
    graph_weight: Annotated[
        float, typer.Option(min=0, max=1, help="Weight of the graph; the rest is the embeddings'.")
    ] = 0.5,
    unseen: Annotated[
        bool, typer.Option("--unseen", help="Leave out products already bought with the basket.")
    ] = False,
    url: Url = "localhost:8001",
) -> None:
    """Recommend products to go with a basket, and say why.

    [bold]Examples[/]

      naiad products recommend 17
      naiad products recommend 17 42 -k 5 --unseen
    """
    from naiad.applications.products.commands import print_recommendations

    print_recommendations(basket, k, graph_weight, unseen, url)
