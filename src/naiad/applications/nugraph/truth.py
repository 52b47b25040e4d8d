"""Answers of NuGraph networks compared with the truth of simulated events, on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from naiad.applications.nugraph.events import Event
from naiad.applications.nugraph.heads import Labels
from naiad.applications.nugraph.labels import (
    EVENT_CLASSES,
    NUGRAPH2_CLASS_OF,
    NUGRAPH2_CLASSES,
    SEMANTIC_CLASSES,
    as_classes,
)
from naiad.applications.nugraph.metrics import Counts, Metrics
from naiad.applications.nugraph.report import count_of
from naiad.applications.nugraph.results import NuGraphResult
from naiad.console import PlainConsole, output


class TruthReport:
    """Accuracy, efficiency and purity per class, and errors of vertices, over many events.

    Efficiency (recall) is the share of a class's hits or events that are found, purity (precision)
    the share of those found that are of the class. As in training, semantic classes are judged on
    all true signal hits, whatever the filter says of them.

    Attributes:
        metrics: the counts.
        without: number of events without truth.
    """

    def __init__(self, labels: Labels) -> None:
        """Begin without events; ``labels`` are those of the model, with names of all classes."""
        self._class_of = _class_of(labels.semantic)
        self._events = set(labels.event) == set(EVENT_CLASSES)
        self.metrics = Metrics(labels.semantic, labels.event)
        self.without = 0
        self._labels = labels

    def add(self, unit: Event, result: NuGraphResult) -> None:
        """Compare one event."""
        truth = unit.truth
        if truth is None:
            self.without += 1
            return
        metrics = self.metrics
        metrics.events += 1
        if result.has("semantic") and self._class_of is not None:
            labels = as_classes(truth.semantic, self._class_of)
            metrics.add_classes(labels, result.values["semantic"])
        if result.has("filter"):
            metrics.add_signal(truth.semantic, result.is_signal)
        if result.has("event") and self._events:
            number = truth.event_class
            label = self._labels.event.index(EVENT_CLASSES[number]) if number >= 0 else number
            metrics.add_events(np.array([label]), np.array([int(result.values["event_class"])]))
        if result.has("vertex"):
            metrics.add_vertices(truth.vertex[None], result.vertex[None])

    def print(self, *, console: PlainConsole = output) -> None:
        """Print the comparison."""
        without = f"; {self.without:,} without truth" if self.without else ""
        events = self.metrics.events
        console.print()
        if not events:
            console.print(Text(f"no event has truth to compare with{without}", "yellow"))
            return
        console.print(
            Text(f"compared with the truth: {count_of(events, 'event')}{without}", "bold")
        )
        console.print(Group(*map(_indented, self._blocks())))

    def _blocks(self) -> list[RenderableType]:
        metrics, labels, found = self.metrics, self._labels, self.metrics.summary()
        blocks: list[RenderableType] = []
        hits = _table("hits")
        if "semantic" in labels.heads and self._class_of is not None:
            _add_classes(hits, "semantic", labels.semantic, metrics.semantic, found)
        if "filter" in labels.heads:
            cells = (found["filter_recall"], found["filter_precision"])
            hits.add_row("signal, by the filter", _count(metrics.signal[1]), *map(_share, cells))
        if hits.row_count:
            blocks.append(hits)
        if "event" in labels.heads and self._events:
            table = _table("events")
            _add_classes(table, "event", labels.event, metrics.event, found)
            blocks.append(table)
        for kind, known, names in (
            ("semantic", self._class_of is not None, labels.semantic),
            ("event", self._events, labels.event),
        ):
            if kind in labels.heads and not known:
                listed = ", ".join(names)
                blocks.append(
                    Text(f"not compared: the file's truth has other {kind} classes than {listed}")
                )
        if "vertex" in labels.heads:
            median, most = found["vertex_median_cm"], found["vertex_68_percent_cm"]
            blocks.append(
                Text(f"distance of the vertex: median {median:.1f} cm, 68 % within {most:.1f} cm")
            )
        return blocks


def _class_of(names: Sequence[str]) -> tuple[int, ...] | None:
    """Return the model's class of each of `SEMANTIC_CLASSES`; None if it has others."""
    names = tuple(names)
    if set(names) == set(SEMANTIC_CLASSES):
        return tuple(map(names.index, SEMANTIC_CLASSES))
    if set(names) == set(NUGRAPH2_CLASSES):
        return tuple(names.index(NUGRAPH2_CLASSES[number]) for number in NUGRAPH2_CLASS_OF)
    return None


def _table(noun: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column(noun)
    for name in ("true", "efficiency", "purity"):
        table.add_column(name, justify="right")
    return table


def _add_classes(
    table: Table, kind: str, names: Sequence[str], counts: Counts, found: dict[str, Any]
) -> None:
    for name, row in zip(names, counts, strict=True):
        shares = (found[f"{kind}_{what}"][name] for what in ("recall", "precision"))
        table.add_row(name, _count(row), *map(_share, shares))
    accuracy = _share(found[f"{kind}_accuracy"])
    table.add_row("accuracy", _count(counts), accuracy, "", style="bold")


def _count(counts: Counts) -> str:
    return f"{int(counts.sum()):,}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _indented(block: RenderableType) -> Padding:
    return Padding(block, (1, 0, 0, 2))
