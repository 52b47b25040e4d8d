"""The graph to train on: a folder of Naiad's, OGB's files, or a synthetic one."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from naiad.applications.products.graph import FACTS_FILE, ProductGraph, open_graph, write_graph
from naiad.applications.products.ogb import Progress, convert, is_ogb
from naiad.errors import InvalidInput

SYNTHETIC: Final = 20_000
"""Products of the graph that is made where there is none."""

_GRAPH: Final = "graph"


def training_graph(
    data: Path | None, weights: Path, seed: int, progress: Progress = lambda what, rows: None
) -> tuple[ProductGraph, str]:
    """The graph in ``data``, and its folder as the weights that are trained on it will name it.

    A graph that is not in a folder of Naiad's yet is written to one beside the weights.

    Raises:
        InvalidInput: there is no graph; says what there must be.
    """
    if data is None:
        from naiad.applications.products.simulate import simulate

        graph = simulate(SYNTHETIC, seed)
        write_graph(weights / _GRAPH, graph)
        return graph, _GRAPH
    if is_ogb(data):
        return convert(data, weights / _GRAPH, progress), _GRAPH
    if data.is_dir() and not (data / FACTS_FILE).exists() and (data / "raw").is_dir():
        raise InvalidInput(f"{data}: it has raw/, but no raw/edge.csv.gz as OGB's ogbn-products")
    return open_graph(data), str(data.resolve())
