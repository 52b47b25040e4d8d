"""Plots of products by their embeddings, and of a training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from naiad.applications.products.results import ProductsResult
from naiad.errors import MissingExtra, NaiadError

try:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
except ImportError as error:
    raise MissingExtra("products", error.name or "matplotlib") from error

_SUFFIXES: Final = (".png", ".svg", ".pdf")
_COLOURS: Final = (
    *("#1b6ca8", "#d1495b", "#3a7d44", "#edae49", "#7b4b94", "#00a6a6", "#8d6e63", "#f26419"),
    *("#6b8e23",),
)
_OTHERS: Final = "#b0b0b0"
_NOTICE: Final = "#c0392b"


class EpochLike(Protocol):
    """What is drawn of an epoch."""

    @property
    def loss(self) -> float:
        """Cross-entropy of what was learned from."""
        ...

    @property
    def validation_accuracy(self) -> float:
        """Share of the products for validation."""
        ...


def check_picture(path: Path) -> None:
    """Make sure that a picture can be written to a file of this name.

    Raises:
        NaiadError: the suffix names no format.
    """
    if path.suffix not in _SUFFIXES:
        raise NaiadError(f"{path}: pictures are written as {', '.join(_SUFFIXES)}")


def draw_embeddings(result: ProductsResult, path: Path) -> None:
    """Draw products by the last hidden layer's embeddings, coloured by predicted category.

    Axes are the two directions in which the embeddings differ most (principal components).

    Raises:
        NaiadError: see :func:`check_picture`.
    """
    check_picture(path)
    figure = Figure(figsize=(9, 6.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    place = _two_dimensions(result.embeddings[:, -1])
    found, count = np.unique(result.category, return_counts=True)
    shown = found[np.argsort(-count, kind="stable")][: len(_COLOURS)]
    others = ~np.isin(result.category, shown)
    size = float(np.clip(6_000 / max(1, len(result)), 8, 120))
    for number, colour in zip(shown, _COLOURS, strict=False):
        here = result.category == number
        name = result.labels.categories[number]
        axes.scatter(*place[here].T, s=size, c=colour, linewidths=0, label=f"{name} ({here.sum()})")
    if others.any():
        axes.scatter(
            *place[others].T, s=size, c=_OTHERS, linewidths=0, label=f"others ({others.sum()})"
        )
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(f"{result.labels.graph}: {len(result):,} products", loc="left")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    if result.labels.notice:
        figure.supxlabel(f"weights: {result.labels.notice}", fontsize=9, color=_NOTICE)
    figure.savefig(path, dpi=120)


def draw_training(epochs: Sequence[EpochLike], best: int, path: Path, title: str) -> None:
    """Draw loss and accuracy by epoch; ``best`` is the epoch whose weights were kept, from 0."""
    figure = Figure(figsize=(7, 5), layout="constrained")
    FigureCanvasAgg(figure)
    losses, accuracy = figure.subplots(2, sharex=True)
    number = np.arange(1, len(epochs) + 1)
    losses.plot(number, [e.loss for e in epochs], color=_COLOURS[0])
    accuracy.plot(number, [e.validation_accuracy for e in epochs], color=_COLOURS[1])
    for axes in (losses, accuracy):
        axes.axvline(best + 1, color=_OTHERS, linewidth=0.8, linestyle="--")
        axes.spines[["top", "right"]].set_visible(False)
    losses.set_title(title, loc="left")
    losses.set_ylabel("cross-entropy, with dropout")
    accuracy.set_ylabel("validation accuracy")
    accuracy.set_xlabel("epoch (dashed: the one whose weights were kept)")
    figure.savefig(path, dpi=120)


def _two_dimensions(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the first two principal components: ``[rows, 2]``."""
    centred = vectors - vectors.mean(axis=0, keepdims=True)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    plane = np.zeros((vectors.shape[1], 2), np.float32)
    plane[:, : len(directions[:2])] = directions[:2].T
    return centred @ plane
