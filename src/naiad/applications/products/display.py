"""Plots of products by their embeddings, and of a training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from naiad import plots
from naiad.applications.products.results import ProductsResult

if TYPE_CHECKING:
    from naiad.applications.products.train import Epoch

_COLOURS: Final = (
    *("#1b6ca8", "#d1495b", "#3a7d44", "#edae49", "#7b4b94", "#00a6a6", "#8d6e63", "#f26419"),
    *("#6b8e23",),
)
_OTHERS: Final = "#b0b0b0"
_NOTICE: Final = "#c0392b"


def draw_embeddings(result: ProductsResult, path: Path) -> None:
    """Draw products by the last hidden layer's embeddings, coloured by predicted category.

    Axes are the two directions in which the embeddings differ most (principal components).
    """
    figure = plots.new_figure(9, 6.5)
    axes = figure.add_subplot()
    place = _two_dimensions(result.embeddings[:, -1])
    found, count = np.unique(result.category, return_counts=True)
    shown = found[np.argsort(-count, kind="stable")][: len(_COLOURS)]
    others = ~np.isin(result.category, shown)
    size = float(np.clip(6_000 / max(1, len(result)), 8, 120))
    for number, colour in zip(shown, _COLOURS, strict=False):
        here = result.category == number
        name = f"{result.labels.categories[number]} ({here.sum()})"
        axes.scatter(*place[here].T, s=size, c=colour, linewidths=0, label=name)
    if others.any():
        axes.scatter(
            *place[others].T, s=size, c=_OTHERS, linewidths=0, label=f"others ({others.sum()})"
        )
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(f"{result.labels.graph}: {len(result):,} products", loc="left")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    plots.add_notice(figure, result.labels.notice, _NOTICE)
    plots.save(figure, path)


def draw_training(epochs: Sequence[Epoch], best: int, path: Path, title: str) -> None:
    """Draw loss and accuracy by epoch; ``best`` is the epoch whose weights were kept, from 0."""
    training, validation = _COLOURS[:2]
    panels = {
        "cross-entropy, with dropout": [("", training, [e.loss for e in epochs])],
        "validation accuracy": [("", validation, [e.validation_accuracy for e in epochs])],
    }
    plots.draw_training(panels, best, path, title, mark=_OTHERS)


def _two_dimensions(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the first two principal components: ``[rows, 2]``."""
    centred = vectors - vectors.mean(axis=0, keepdims=True)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    plane = np.zeros((vectors.shape[1], 2), np.float32)
    plane[:, : len(directions[:2])] = directions[:2].T
    return centred @ plane
