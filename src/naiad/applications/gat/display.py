"""Pictures of a graph coloured by predicted topic, and of a training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from naiad.applications.gat.results import GatResult
from naiad.errors import MissingExtra, NaiadError

try:
    import networkx
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.collections import LineCollection
    from matplotlib.colors import to_rgba
    from matplotlib.figure import Figure
except ModuleNotFoundError as error:
    raise MissingExtra("gat", error.name or "matplotlib") from None

MOST_PAPERS: Final = 5_000
"""Maximum number of papers that a picture can show and that can be laid out in reasonable time."""

# Okabe and Ito's colours, which all kinds of eyes tell apart.
_COLOURS: Final = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b8a800")
_INK, _SOFT, _WRONG = "#222222", "#888888", "#d00000"


class EpochLike(Protocol):
    """How one epoch of a training went."""

    @property
    def loss(self) -> float:
        """On the papers that are learned from."""
        ...

    @property
    def validation_loss(self) -> float:
        """On the validation papers."""
        ...

    @property
    def validation_accuracy(self) -> float:
        """On the validation papers."""
        ...


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
    positions = _layout(len(graph), graph.edge_index)
    figure = Figure(figsize=(10, 7.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_axis_off()
    once = graph.edge_index[:, graph.edge_index[0] < graph.edge_index[1]]
    lines = LineCollection(list(positions[once.T]), colors=_SOFT, linewidths=0.4, alpha=0.5)
    axes.add_collection(lines)
    size = float(np.clip(9_000 / max(1, len(graph)), 6, 90))
    for number, (name, count) in enumerate(result.counts().items()):
        here = result.topics == number
        colour = np.tile(to_rgba(_COLOURS[number]), (count, 1))
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
        f"{graph.source}: {len(graph):,} papers, {once.shape[1]:,} links", color=_INK, loc="left"
    )
    if result.labels.notice:
        figure.supxlabel(f"weights: {result.labels.notice}", fontsize=9, color=_WRONG)
    figure.savefig(path, dpi=120)


def draw_training(epochs: Sequence[EpochLike], best: int, path: Path, title: str) -> None:
    """Draw losses and accuracy by epoch; ``best`` is the epoch whose weights were kept, from 0."""
    figure = Figure(figsize=(7, 5), layout="constrained")
    FigureCanvasAgg(figure)
    losses, accuracy = figure.subplots(2, sharex=True)
    number = np.arange(1, len(epochs) + 1)
    losses.plot(number, [e.loss for e in epochs], color=_COLOURS[0], label="training, with dropout")
    losses.plot(number, [e.validation_loss for e in epochs], color=_COLOURS[1], label="validation")
    accuracy.plot(number, [e.validation_accuracy for e in epochs], color=_COLOURS[1])
    for axes in (losses, accuracy):
        axes.axvline(best + 1, color=_SOFT, linewidth=0.8, linestyle="--")
        axes.spines[["top", "right"]].set_visible(False)
    losses.set_title(title, loc="left")
    losses.set_ylabel("cross-entropy")
    losses.legend(frameon=False)
    accuracy.set_ylabel("validation accuracy")
    accuracy.set_xlabel("epoch (dashed: the one whose weights were kept)")
    figure.savefig(path, dpi=120)


def _layout(papers: int, edge_index: np.ndarray[Any, np.dtype[np.int64]]) -> Any:
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
