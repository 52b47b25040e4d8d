"""A graph file through a server: topics to the screen, a file and a picture."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.markup import escape
from rich.table import Table

from naiad.applications.gat.client import GatClient
from naiad.applications.gat.graphs import read_graph
from naiad.applications.gat.results import GatResult, check_format, write_result
from naiad.cli.connect import connected
from naiad.console import output, refuse_existing, say

MODEL = "gat_test"

_BAR = 24  # characters of all papers


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to do with a file.

    Attributes:
        file: the graph.
        output: file for the result.
        plot: file for the picture.
        timeout: seconds for the answer.
        force: overwrite output and picture.
    """

    file: Path
    output: Path | None = None
    plot: Path | None = None
    timeout: float = 60.0
    force: bool = False


def infer_file(job: Job, url: str | None, weights: Path | None = None) -> None:
    """Run the job on the server at ``url``, or on one that is started for it with ``weights``.

    Raises:
        Unavailable: no server is there; says how to start one.
        NaiadError: the file, the output or the model is not as it must be.
    """
    graph = read_graph(job.file)
    if job.output is not None:
        check_format(job.output)
    if job.plot is not None:
        from naiad.applications.gat.display import check_picture

        check_picture(job.plot, graph)
    for path in (job.output, job.plot):
        if path is not None:
            refuse_existing(path, job.force)
    with connected("gat", url, timeout=job.timeout, weights=weights) as client:
        model = GatClient(client.model(MODEL))
        _ = model.labels
        began = time.perf_counter()
        result = model.infer(graph)
        seconds = time.perf_counter() - began
    print_result(result, seconds)
    if job.output is not None:
        write_result(job.output, result)
        say(f"wrote {len(graph):,} topics to [bold]{escape(str(job.output))}[/]")
    if job.plot is not None:
        from naiad.applications.gat.display import draw_graph

        draw_graph(result, job.plot)
        say(f"drew [bold]{escape(str(job.plot))}[/]")


def print_result(result: GatResult, seconds: float) -> None:
    """Print how many papers each topic has, and how sure the network is of them."""
    graph = result.graph
    say(
        f"{escape(graph.source)}: {len(graph):,} papers, {graph.edge_index.shape[1]:,} edges, "
        f"answered in {1000 * seconds:.0f} ms"
    )
    table = Table("topic", box=None, padding=(0, 2, 0, 2))
    for column in ("papers", "share", "confidence"):
        table.add_column(column, justify="right")
    table.add_column("", style="cyan")
    for number, (name, count) in enumerate(result.counts().items()):
        share = count / max(1, len(graph))
        sure = result.confidence[result.topics == number]
        median = f"{np.median(sure):.2f}" if count else ""
        table.add_row(escape(name), f"{count:,}", f"{share:.1%}", median, "█" * round(_BAR * share))
    output.print(table)
    accuracy = result.accuracy()
    if accuracy is not None:
        share, papers = accuracy
        which = "test papers" if graph.test.size else "papers"
        say(f"{share:.1%} of {papers:,} {which} with a known topic are right")
    if result.labels.notice:
        output.print(f"[yellow]weights: {escape(result.labels.notice)}[/]", highlight=False)
