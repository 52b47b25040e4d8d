"""The graph to train on: a Naiad folder, OGB's files, or a synthetic graph."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from naiad.applications.products.graph import FACTS_FILE, ProductGraph, open_graph, write_graph
from naiad.applications.products.ogb import Progress, convert, ogb_folder
from naiad.errors import InvalidInput

SYNTHETIC: Final = 20_000
"""Number of products in the graph made if none is given."""

_GRAPH: Final = "graph"


def training_graph(
    data: Path | None, weights: Path, seed: int, progress: Progress = lambda what, rows: None
) -> tuple[ProductGraph, str]:
    """Return the graph in ``data``, and the folder by which its weights will name it.

    A graph not yet in Naiad's format is written to a folder beside the weights.

    Raises:
        InvalidInput: ``data`` has no graph.
    """
    if data is None:
        from naiad.applications.products.simulate import simulate

        graph = simulate(SYNTHETIC, seed)
        write_graph(weights / _GRAPH, graph)
        return graph, _GRAPH
    if (ogb := ogb_folder(data)) is not None:
        return convert(ogb, weights / _GRAPH, progress), _GRAPH
    if data.is_dir() and not (data / FACTS_FILE).exists() and (data / "raw").is_dir():
        raise InvalidInput(f"{data} has raw/ but not raw/edge.csv.gz, as OGB's ogbn-products has")
    return open_graph(data), str(data.resolve())
