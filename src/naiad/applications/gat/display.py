"""Pictures of a graph coloured by predicted topic, and of a training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from naiad import plots
from naiad.applications.gat.results import GatResult
from naiad.errors import MissingExtra, NaiadError
from naiad.plots import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION

try:
    import networkx
except ModuleNotFoundError:
    raise MissingExtra("gat", "networkx") from None

if TYPE_CHECKING:
    from naiad.applications.gat.train import Epoch

MOST_PAPERS: Final = 5_000
"""Maximum number of papers that a picture can show and that can be laid out in reasonable time."""

_COLOURS: Final = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION, "#b8a800")
_INK, _SOFT, _WRONG = "#222222", "#888888", "#d00000"


def draw_graph(result: GatResult, path: Path) -> None:
    """Draw the papers and their citations, coloured by predicted topic, into a picture file.

    The colour is stronger where the network is surer. Papers with another known topic have a red
    ring.

    Raises:
        NaiadError: the graph has more than `MOST_PAPERS` papers.
    """
    graph = result.graph
    if len(graph) > MOST_PAPERS:
        raise NaiadError(f"{len(graph):,} papers are too many to draw; {MOST_PAPERS:,} are not")
    positions = layout(len(graph), graph.edge_index)
    figure = plots.new_figure(10, 7.5)
    axes = figure.add_subplot()
    axes.set_axis_off()
    once = graph.edge_index[:, graph.edge_index[0] < graph.edge_index[1]]
    lines = plots.LineCollection(list(positions[once.T]), colors=_SOFT, linewidths=0.4, alpha=0.5)
    axes.add_collection(lines)
    size = float(np.clip(9_000 / max(1, len(graph)), 6, 90))
    for number, (name, count) in enumerate(result.counts().items()):
        here = result.topics == number
        colour = np.tile(plots.to_rgba(_COLOURS[number]), (count, 1))
        colour[:, 3] = 0.25 + 0.75 * result.confidence[here]
        axes.scatter(
            *positions[here].T,
            s=size,
            c=colour,
            linewidths=0,
            zorder=2,
        )
        # Of its own, as the legend would show the colour of whichever paper came first.
        axes.scatter([], [], s=60, c=_COLOURS[number], label=f"{name} ({count:,})")
    if result.comparable:
        wrong = (graph.topics >= 0) & (graph.topics != result.topics)
        if wrong.any():
            axes.scatter(
                *positions[wrong].T,
                s=1.6 * size,
                facecolors="none",
                edgecolors=_WRONG,
                linewidths=0.8,
                label=f"another topic in truth ({int(wrong.sum()):,})",
                zorder=3,
            )
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    axes.set_title(
        f"{graph.source}: {len(graph):,} papers, {once.shape[1]:,} links",
        color=_INK,
        loc="left",
    )
    plots.add_notice(figure, result.labels.notice, _WRONG)
    plots.save(figure, path)


def draw_training(epochs: Sequence[Epoch], best: int, path: Path, title: str) -> None:
    """Draw losses and accuracy by epoch; ``best`` is the epoch whose weights were kept, from 0."""
    training, validation = _COLOURS[:2]
    panels = {
        "cross-entropy": [
            ("training, with dropout", training, [e.loss for e in epochs]),
            ("validation", validation, [e.validation_loss for e in epochs]),
        ],
        "validation accuracy": [("", validation, [e.validation_accuracy for e in epochs])],
    }
    plots.draw_training(panels, best, path, title, mark=_SOFT)


def layout(papers: int, edge_index: np.ndarray[Any, np.dtype[np.int64]]) -> Any:
    """Place papers at ``[papers, 2]``; springs hold papers that cite one another together."""
    if not papers:
        return np.empty((0, 2))
    graph: Any = networkx.Graph()
    graph.add_nodes_from(range(papers))
    graph.add_edges_from(edge_index.T.tolist())
    # Springs only push papers without links away, which would shrink all others to a dot.
    alone = [node for node, degree in graph.degree() if degree == 0]
    graph.remove_nodes_from(alone)
    positions = np.zeros((papers, 2))
    reach = 1.0
    if len(graph):
        found = networkx.spring_layout(graph, seed=0, iterations=60, k=2.0 / np.sqrt(papers))
        linked = np.array(list(found.values()))
        linked -= np.median(linked, axis=0)
        # Small groups drift away from the others; they are brought back to the rim.
        away = np.linalg.norm(linked, axis=1, keepdims=True)
        reach = 1.3 * max(1e-6, float(np.quantile(away, 0.95)))
        positions[list(found)] = linked * np.minimum(1.0, reach / np.maximum(away, 1e-9))
    angle = np.linspace(0, 2 * np.pi, len(alone), endpoint=False)
    positions[alone] = 1.1 * reach * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return positions
