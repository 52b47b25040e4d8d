"""Products through a server: categories and recommendations to the screen, a file and a picture."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from naiad.applications.products.client import ProductsClient
from naiad.applications.products.results import ProductsResult, check_format, write_result
from naiad.cli.connect import connected
from naiad.console import bar, output, refuse_existing, say

MODEL = "products"

_BAR = 24  # characters of a probability of 1
_MOST_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to ask, and what to do with the answer.

    Attributes:
        products: numbers of products.
        top: how many categories to show of each.
        seed: of the sampling.
        output: file for the result.
        plot: file for the picture.
        timeout: seconds for the answer.
        force: overwrite output and picture.
    """

    products: Sequence[int]
    top: int = 3
    seed: int = 0
    output: Path | None = None
    plot: Path | None = None
    timeout: float = 60.0
    force: bool = False


def infer_products(job: Job, url: str | None, weights: Path | None = None) -> None:
    """Run the job on the server at ``url``, or on one that is started for it with ``weights``.

    Raises:
        Unavailable: no server is there; says how to start one.
        NaiadError: a product, the output or the model is not as it must be.
    """
    if job.output is not None:
        check_format(job.output)
    if job.plot is not None:
        from naiad.applications.products.display import check_picture

        check_picture(job.plot)
    for path in (job.output, job.plot):
        if path is not None:
            refuse_existing(path, job.force)
    with connected(MODEL, url, timeout=job.timeout, weights=weights, model=MODEL) as client:
        model = ProductsClient(client.model(MODEL))
        _ = model.labels
        began = time.perf_counter()
        result = model.infer(job.products, seed=job.seed)
        seconds = time.perf_counter() - began
    print_result(result, job.top, seconds)
    if job.output is not None:
        write_result(job.output, result)
        say(f"wrote {len(result):,} products to [bold]{escape(str(job.output))}[/]")
    if job.plot is not None:
        from naiad.applications.products.display import draw_embeddings

        draw_embeddings(result, job.plot)
        say(f"drew [bold]{escape(str(job.plot))}[/]")


def print_result(result: ProductsResult, top: int, seconds: float) -> None:
    """Print the most probable categories of each product, the first twenty at most."""
    labels = result.labels
    say(
        f"{escape(labels.graph)}: {labels.products:,} products; "
        f"{len(result):,} answered in {1000 * seconds:.0f} ms"
    )
    table = Table("product", box=None, padding=(0, 2, 0, 2))
    table.add_column("bought with", justify="right")
    table.add_column("category")
    table.add_column("", justify="right")
    table.add_column("", style="cyan")
    for row in range(min(len(result), _MOST_SHOWN)):
        first = (str(result.product[row]), f"{result.neighbours[row]:,}")
        for name, share in result.top(row, top):
            table.add_row(*first, escape(name), f"{share:.2f}", bar(share, _BAR))
            first = ("", "")
    output.print(table)
    if len(result) > _MOST_SHOWN:
        say(f"and {len(result) - _MOST_SHOWN:,} more")
    isolated = int((result.neighbours == 0).sum())
    if isolated:
        say(f"{isolated:,} were bought with nothing: their answer is by their features alone")
    _print_notice(labels.notice)


def print_recommendations(
    basket: Sequence[int], k: int, graph_weight: float, unseen: bool, url: str
) -> None:
    """Print what is bought together with a basket, and why.

    Raises:
        Unavailable: no server with the model is there; says how to start one.
        NaiadError: a product or the store is not as it must be.
    """
    from naiad.applications.products.recommend import MODEL as RECOMMEND

    with connected(RECOMMEND, url, timeout=60.0, model=RECOMMEND, local=False) as client:
        model = ProductsClient(client.model(MODEL))
        found = model.recommend(basket, k, graph_weight=graph_weight, unseen=unseen)
        parameters = client.model(RECOMMEND).config().get("parameters", {})
    table = Table("product", "category", box=None, padding=(0, 2, 0, 2))
    table.add_column("score", justify="right")
    table.add_column("", style="cyan")
    table.add_column("why")
    for pick in found:
        table.add_row(
            str(pick.product),
            escape(pick.category),
            f"{pick.score:.2f}",
            bar(pick.score, _BAR // 2),
            pick.why(),
        )
    output.print(table)
    _print_notice(str(parameters.get("notice", {}).get("string_value", "")))


def _print_notice(notice: str) -> None:
    if notice:
        output.print(f"[yellow]weights: {escape(notice)}[/]", highlight=False)
