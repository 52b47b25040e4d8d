"""The demo: categories of products in Naiad's sample graph, from a temporary server."""

from __future__ import annotations

from pathlib import Path

from naiad.applications.products.task import ProductsTask
from naiad.client import Client
from naiad.console import errors
from naiad.tasks.inference import Inference, infer
from naiad.triton.serving import serve

PRODUCTS = ("17", "42", "1234")


def run(directory: Path) -> None:
    """Serve, ask, print, draw and shut down; the result and a plot go to ``directory``.

    Raises:
        NaiadError: a step fails.
    """
    directory.mkdir(parents=True, exist_ok=True)
    what = Inference(
        task=ProductsTask(),
        options=ProductsTask.Options(),
        typed=PRODUCTS,
        output=directory / "products.npz",
        plot=directory / "products.png",
        concurrency=4,
        timeout=60.0,
        force=True,
    )
    with errors.status("starting Triton"):
        server = serve("products", http_port=0, grpc_port=0, metrics_port=0)
    with server, Client(server.grpc_url) as client:
        infer(what, client, what.inputs())
