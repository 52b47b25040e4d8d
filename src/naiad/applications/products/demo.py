"""Categories of products in the graph that comes with Naiad, through a Triton of its own."""

from __future__ import annotations

from pathlib import Path

from naiad.applications.products.infer_file import Job, infer_products

PRODUCTS = (17, 42, 1234)


def run(directory: Path) -> None:
    """Serve, ask, print, draw, and shut down; result and picture go to ``directory``.

    Raises:
        NaiadError: what could not be done, and why.
    """
    directory.mkdir(parents=True, exist_ok=True)
    job = Job(
        products=PRODUCTS,
        output=directory / "products.npz",
        plot=directory / "products.png",
        force=True,
    )
    infer_products(job, None)
