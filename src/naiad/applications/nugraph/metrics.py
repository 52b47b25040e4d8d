"""Metrics of the network's answers against the truth, accumulated event by event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naiad.applications.nugraph.heads import SIGNAL_THRESHOLD
from naiad.applications.nugraph.labels import BACKGROUND, EVENT_CLASSES, SEMANTIC_CLASSES
from naiad.applications.nugraph.schema import PLANES

Counts = NDArray[np.int64]


def _square(size: int) -> Counts:
    return np.zeros((size, size), np.int64)


@dataclass(slots=True)
class Metrics:
    """Counts over many events; rows of the confusion matrices are the truth.

    Semantic classes are judged on all true signal hits, whatever the filter says of them.

    Args:
        semantic_classes: of the network.
        event_classes: of the network; empty if it has no event and vertex heads.
    """

    semantic_classes: tuple[str, ...] = SEMANTIC_CLASSES
    event_classes: tuple[str, ...] = EVENT_CLASSES
    semantic: Counts = field(init=False)
    signal: Counts = field(default_factory=lambda: _square(2), init=False)
    event: Counts = field(init=False)
    events: int = field(default=0, init=False)
    distances: list[NDArray[np.float64]] = field(default_factory=list, init=False)
    """Distance between true and predicted vertex, per event, in cm."""

    def __post_init__(self) -> None:
        self.semantic = _square(len(self.semantic_classes))
        self.event = _square(len(self.event_classes))

    def add(self, outputs: Mapping[str, NDArray[Any]], truth: Mapping[str, NDArray[Any]]) -> None:
        """Count a batch: the network's outputs, and ``y_semantic_p``, ``y_event``, ``y_vertex``."""
        for plane in PLANES:
            label = truth[f"y_semantic_{plane}"]
            self.add_classes(label, outputs[f"x_semantic_{plane}"].argmax(axis=1))
            self.add_signal(label, outputs[f"x_filter_{plane}"] > SIGNAL_THRESHOLD)
        self.events += len(truth["y_event"])
        if "e_evt" in outputs:
            self.add_events(truth["y_event"], outputs["e_evt"].argmax(axis=1))
        if "v_evt" in outputs:
            self.add_vertices(truth["y_vertex"], outputs["v_evt"])

    def add_classes(self, label: NDArray[Any], predicted: NDArray[Any]) -> None:
        """Count the true (or `BACKGROUND`) and the predicted classes of some hits, ``[n]``."""
        signal = label != BACKGROUND
        np.add.at(self.semantic, (label[signal], predicted[signal]), 1)

    def add_signal(self, label: NDArray[Any], kept: NDArray[np.bool_]) -> None:
        """Count some hits by their true class and by the filter, ``[n]``."""
        signal = label != BACKGROUND
        np.add.at(self.signal, (signal.astype(np.int64), kept.astype(np.int64)), 1)

    def add_events(self, label: NDArray[Any], predicted: NDArray[Any]) -> None:
        """Count the true (-1 for others) and the predicted classes of some events, ``[n]``."""
        known = label >= 0
        np.add.at(self.event, (label[known], predicted[known]), 1)

    def add_vertices(self, true: NDArray[Any], predicted: NDArray[Any]) -> None:
        """Add the distances of vertices ``[n, 3]``, in cm."""
        self.distances.append(np.linalg.norm(predicted.astype(np.float64) - true, axis=1))

    def summary(self) -> dict[str, Any]:
        """Return plain numbers for a JSON file; None where a denominator is 0."""
        found: dict[str, Any] = {
            "hits": int(self.signal.sum()),
            "events": self.events,
            **_of_classes("semantic", self.semantic, self.semantic_classes),
            "filter_accuracy": _ratio(np.trace(self.signal), self.signal.sum()),
            "filter_recall": _ratio(self.signal[1, 1], self.signal[1].sum()),
            "filter_precision": _ratio(self.signal[1, 1], self.signal[:, 1].sum()),
        }
        if self.event_classes:
            found |= _of_classes("event", self.event, self.event_classes)
        if not self.event_classes and not self.distances:
            return found
        distance = np.concatenate(self.distances) if self.distances else np.empty(0)
        return {
            **found,
            "vertex_median_cm": round(float(np.median(distance)), 2) if len(distance) else None,
            "vertex_68_percent_cm": (
                round(float(np.quantile(distance, 0.68)), 2) if len(distance) else None
            ),
        }


def _of_classes(kind: str, counts: Counts, names: tuple[str, ...]) -> dict[str, Any]:
    return {
        f"{kind}_accuracy": _ratio(np.trace(counts), counts.sum()),
        f"{kind}_recall": _per_class(counts, names, axis=1),
        f"{kind}_precision": _per_class(counts, names, axis=0),
    }


def _ratio(part: np.integer[Any], whole: np.integer[Any]) -> float | None:
    return round(float(part) / float(whole), 4) if whole else None


def _per_class(counts: Counts, names: tuple[str, ...], axis: int) -> dict[str, float | None]:
    """Return the diagonal's share in each row (``axis=1``: recall) or column (0: precision)."""
    wholes = counts.sum(axis=axis)
    return {
        name: _ratio(part, whole)
        for name, part, whole in zip(names, counts.diagonal(), wholes, strict=True)
    }
