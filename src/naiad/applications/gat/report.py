"""Topics of papers on the terminal."""

from __future__ import annotations

from typing import Final

import numpy as np
from rich.text import Text

from naiad.applications.gat.results import GatResult
from naiad.console import print_columns, say
from naiad.tasks.task import Found

_BAR: Final = 24  # characters of all papers


class TopicsReport:
    """A `Report` of each graph's papers by topic, and of the network's confidence."""

    def __init__(self) -> None:
        """Begin an empty report."""
        self._graphs: list[tuple[str, list[list[Text | str]], str]] = []

    def add(self, found: Found) -> None:
        """Add a graph, of which only the counts are kept."""
        result: GatResult = found.result
        graph = result.graph
        title = f"{graph.source}: {len(graph):,} papers, {graph.edge_index.shape[1]:,} edges"
        self._graphs.append((title, _rows(result), _accuracy(result)))

    def print(self, seconds: float) -> None:
        """Print a table for each graph."""
        for title, rows, accuracy in self._graphs:
            say(title)
            print_columns(rows, ["  topic", "papers", "share", "confidence", ""])
            if accuracy:
                say(accuracy)
        count = len(self._graphs)
        say(f"{count:,} graph{'s' * (count > 1)} in {seconds:.1f} s")


def _rows(result: GatResult) -> list[list[Text | str]]:
    rows: list[list[Text | str]] = []
    for number, (name, count) in enumerate(result.counts().items()):
        share = count / max(1, len(result.graph))
        sure = result.confidence[result.topics == number]
        median = f"{np.median(sure):.2f}" if count else ""
        bar = Text("█" * round(_BAR * share), "cyan")
        rows.append([f"  {name}", f"{count:>6,}", f"{share:>6.1%}", f"{median:>10}", bar])
    return rows


def _accuracy(result: GatResult) -> str:
    found = result.accuracy()
    if found is None:
        return ""
    share, papers = found
    which = "test papers" if result.graph.test.size else "papers"
    return f"{share:.1%} of {papers:,} {which} with a known topic are right"
