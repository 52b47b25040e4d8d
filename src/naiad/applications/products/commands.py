"""The bodies of ``naiad products embed|recommend``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from naiad.applications.products import product_store
from naiad.applications.products.client import RECOMMEND
from naiad.applications.products.graph import open_graph
from naiad.applications.products.pipeline import Products
from naiad.applications.store import exists
from naiad.cli.connect import connected
from naiad.console import bar, print_columns, progress_bar, say, say_notice

_BY_GRAPH = " in the graph; with --graph-weight below 1 embeddings count too"
_BAR = 12  # characters of a score of 1


def fill(
    graph: Path | None,
    weights: Path | None,
    place: str | None,
    url: str,
    *,
    per_request: int,
    concurrency: int,
    force: bool,
) -> None:
    """Load the graph into the store if need be, and compute the missing embeddings.

    Raises:
        Unavailable: no server answers.
        NaiadError: the graph, the store or the model cannot be used.
    """
    where = place or product_store.store_place()
    with connected("products", url, timeout=60.0, model="products", local=False) as client:
        model = client.products
        if force or not exists(where):
            products = Products(weights).graph if graph is None else open_graph(graph)
            width = model.infer([0]).embeddings.shape[-1]
            product_store.load_graph(where, products, model.card, width)
            say(f"loaded {len(products):,} products and {products.edges // 2:,} pairs")
        with progress_bar("embeddings", None, unit="products") as advance:
            computed = product_store.embed(
                where,
                model,
                per_request=per_request,
                concurrency=concurrency,
                progress=lambda done, total: advance(done, total),
            )
    say(f"computed {computed:,} embeddings; the store is ", (where, "bold"))
    say_notice(model.card.notice)


def print_recommendations(
    basket: Sequence[int], k: int, graph_weight: float, unseen: bool, url: str
) -> None:
    """Print the products to go with a basket, and why.

    Raises:
        Unavailable: no server with the model answers.
        NaiadError: a product does not exist, or the store cannot be used.
    """
    with connected(RECOMMEND, url, timeout=60.0, model=RECOMMEND, local=False) as client:
        found = client.products.recommend(basket, k, graph_weight=graph_weight, unseen=unseen)
        notice = client.model(RECOMMEND).notice()
    rows = [
        [str(p.product), p.category, f"{p.score:.2f}", Text(bar(p.score, _BAR), "cyan"), p.why()]
        for p in found
    ]
    if rows:
        print_columns(rows, ("product", "category", "score", "", "why"))
    else:
        where = _BY_GRAPH if graph_weight == 1 else ""
        say(f"no product has anything in common with the basket{where}")
    say_notice(notice)
