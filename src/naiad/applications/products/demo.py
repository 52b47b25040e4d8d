"""Categories of products in the graph that comes with Naiad, through a Triton of its own."""

from __future__ import annotations

from pathlib import Path

from naiad.applications.products.task import ProductsTask
from naiad.client import Client
from naiad.console import errors
from naiad.tasks.inference import Inference, infer
from naiad.triton.serving import serve

PRODUCTS = ("17", "42", "1234")


def run(directory: Path) -> None:
    """Serve, ask, print, draw, and shut down; result and picture go to ``directory``.

    Raises:
        NaiadError: what could not be done, and why.
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
