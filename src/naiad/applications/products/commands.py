"""``naiad products embed``: fill a graph store through a server, with a progress bar."""

from __future__ import annotations

from pathlib import Path

from rich.markup import escape

from naiad.applications.products import product_store
from naiad.applications.products.client import ProductsClient
from naiad.applications.products.graph import open_graph
from naiad.applications.products.pipeline import Products
from naiad.applications.store import exists
from naiad.cli.connect import connected
from naiad.console import output, progress_bar, say


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
    """Load the graph where it is not in the store yet, and compute the embeddings that are missing.

    Raises:
        Unavailable: no server is there; says how to start one.
        NaiadError: the graph, the store or the model is not as it must be.
    """
    where = place or product_store.store_place()
    with connected("products", url, timeout=60.0, model="products", local=False) as client:
        model = ProductsClient(client.model("products"))
        if force or not exists(where):
            products = Products(weights).graph if graph is None else open_graph(graph)
            width = model.infer([0]).embeddings.shape[-1]
            product_store.load_graph(where, products, model.labels, width)
            say(f"loaded {len(products):,} products and {products.edges // 2:,} pairs")
        with progress_bar("embeddings", None, unit="products") as advance:
            computed = product_store.embed(
                where,
                model,
                per_request=per_request,
                concurrency=concurrency,
                progress=lambda done, total: advance(done, total),
            )
    say(f"computed {computed:,} embeddings; the store is [bold]{escape(where)}[/]")
    if model.labels.notice:
        output.print(f"[yellow]weights: {escape(model.labels.notice)}[/]", highlight=False)
