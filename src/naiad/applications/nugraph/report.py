"""Results of NuGraph networks on the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from naiad.applications.nugraph.results import FILTERED, NuGraphResult
from naiad.applications.nugraph.schema import PLANES
from naiad.console import PlainConsole, bar, output
from naiad.tasks.task import Found

if TYPE_CHECKING:  # imports torch
    from naiad.applications.nugraph.train import Training

_FEW = 3  # up to this number, events are printed one by one, in full
_LINES = 10  # up to this number, each has a line before the sums
_BAR = 28  # characters of a probability of 1


@dataclass(slots=True)
class Tally:
    """Sums over many results, which are not kept."""

    count: int = 0
    events: Counter[str] = field(default_factory=Counter[str])
    hits: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    unknown_hits: int = 0

    def add(self, result: NuGraphResult) -> None:
        """Count one event."""
        self.count += 1
        if result.has("event"):
            for name in result.labels.event:
                self.events[name] += name == result.event_class
        for name, *counts in result.counts().itertuples():
            before = self.hits.get(name, [0] * len(PLANES))
            self.hits[name] = [a + b for a, b in zip(before, counts, strict=True)]
        self.unknown_hits += result.unknown_hits


class EventReport:
    """A report of each of a few events in full, or in a line each, and of sums over many."""

    def __init__(self, count: int) -> None:
        """Begin a report of ``count`` events."""
        self._count = count
        self._tally = Tally()
        self._kept: list[NuGraphResult] = []

    def add(self, found: Found) -> None:
        """Add one event."""
        self._tally.add(found.result)
        if self._count <= _LINES:
            self._kept.append(found.result)

    def print(self, seconds: float) -> None:
        """Print the report."""
        if self._count <= _FEW:
            for result in self._kept:
                print_result(result)
                output.print()
            return
        if self._kept:
            print_lines(self._kept)
            output.print()
        print_tally(self._tally, seconds)


def training_lines(training: Training) -> list[str]:
    """Return the lines that report a training: metrics on the held-out events."""
    counts = ", ".join(f"{number:,} {part}" for part, number in training.events.items())
    metrics = training.metrics
    lines = [
        f"events: {counts}; {training.seconds:.0f} s, weights of epoch {training.best_epoch + 1}; "
        "on the test events:"
    ]
    for kind in ("semantic", "event"):
        if f"{kind}_accuracy" not in metrics:
            continue
        rows = [(f"{kind} class", "recall", "precision")]
        for name, recall in metrics[f"{kind}_recall"].items():
            rows.append((name, _share(recall), _share(metrics[f"{kind}_precision"][name])))
        rows.append(("accuracy", _share(metrics[f"{kind}_accuracy"]), ""))
        lines += [f"  {a:<16}{b:>7}  {c:>9}".rstrip() for a, b, c in rows]
    for name in ("filter_accuracy", "filter_recall", "filter_precision"):
        if name in metrics:
            lines.append(f"  {name.replace('_', ' ')}: {_share(metrics[name])}")
    if "vertex_median_cm" in metrics:
        lines.append(f"  vertex error (median): {metrics['vertex_median_cm']} cm")
    return lines


def print_result(
    result: NuGraphResult,
    stages: Mapping[str, float] | None = None,
    *,
    console: PlainConsole = output,
) -> None:
    """Print one event: its class and vertex if the model has them, its hits per class and plane.

    Args:
        result: the event.
        stages: seconds by serving stage, if known.
        console: where to print.
    """
    facts = Table.grid(padding=(0, 2))
    if result.has("filter"):
        signal = int(result.is_signal.sum())
        facts.add_row("signal", f"{signal:,} of {result.num_hits:,} hits")
    if result.has("vertex"):
        x, y, z = result.vertex.tolist()
        facts.add_row("vertex", f"x {x:.1f}  y {y:.1f}  z {z:.1f} cm")
    if result.has("particle"):
        facts.add_row("particles", f"{result.num_particles:,}")
    if result.unknown_hits:
        facts.add_row(
            Text("warning", "yellow"),
            _unknown(result.unknown_hits),
        )
    counts = {name: list(row) for name, *row in result.counts().itertuples()}
    blocks: list[RenderableType] = [
        Text(f"run {result.run}, subrun {result.subrun}, event {result.event}", style="bold"),
    ]
    if result.has("event"):
        blocks.append(_indented(_probabilities(result.event_probabilities)))
    if facts.row_count:
        blocks.append(_indented(facts))
    blocks.append(_indented(_hit_table(counts)))
    console.print(Group(*blocks))
    if stages:
        print_stages(stages, console=console)


def print_lines(results: Sequence[NuGraphResult], *, console: PlainConsole = output) -> None:
    """Print a line for each event of one model: class, vertex, and the hits that are signal."""
    heads = results[0].labels.heads
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("run/subrun/event", no_wrap=True)
    for head, title in (("event", "class"), ("vertex", "vertex [cm]"), ("filter", "signal")):
        if head in heads:
            table.add_column(title, no_wrap=True)
    table.add_column("hits", justify="right", no_wrap=True)
    for result in results:
        row = [Text(f"{result.run}/{result.subrun}/{result.event}", "bold")]
        if result.has("event"):
            best = result.event_class
            row.append(Text(f"{best} {result.event_probabilities[best]:.2f}", "green"))
        if result.has("vertex"):
            row.append(Text(", ".join(f"{one:.1f}" for one in result.vertex.tolist())))
        if result.has("filter"):
            row.append(Text(f"{int(result.is_signal.sum()):,}"))
        table.add_row(*row, Text(f"{result.num_hits:,}"))
    console.print(table)


def print_stages(stages: Mapping[str, float], *, console: PlainConsole = output) -> None:
    """Print the seconds that each serving stage took."""
    table = Table(title="time per stage", title_justify="left", title_style="bold", box=None)
    table.add_column("")
    table.add_column("ms", justify="right")
    for stage, seconds in stages.items():
        table.add_row(stage, f"{seconds * 1e3:.2f}")
    table.add_row("sum", f"{sum(stages.values()) * 1e3:.2f}", style="bold")
    console.print(_indented(table))


def print_tally(
    tally: Tally, seconds: float | None = None, *, console: PlainConsole = output
) -> None:
    """Print the sums over many events and, with ``seconds``, the rate."""
    total = tally.count
    pace = "" if seconds is None else f" in {seconds:.1f} s, {total / seconds:.1f} per second"
    blocks: list[RenderableType] = [
        Text(f"{count_of(total, 'event')}{pace}", "bold"),
    ]
    if total:
        if tally.events:
            shares = {name: count / total for name, count in tally.events.items()}
            blocks.append(_indented(_probabilities(shares, tally.events)))
        blocks.append(_indented(_hit_table(tally.hits)))
    if tally.unknown_hits:
        blocks.append(Text(_unknown(tally.unknown_hits), style="yellow"))
    console.print(Group(*blocks))


def count_of(number: int, noun: str) -> str:
    """Return a count in words: "1 event", "1,200 events"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _share(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


def _unknown(number: int) -> str:
    return f"hits named by spacepoints but not found on their plane: {number:,} (ignored)"


def _indented(block: RenderableType) -> Padding:
    return Padding(block, (1, 0, 0, 2))


def _probabilities(
    shares: Mapping[str, float], counts: Mapping[str, int] | None = None
) -> RenderableType:
    best = max(shares, key=shares.__getitem__)
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(width=_BAR)
    table.add_column(justify="right")
    for name, share in shares.items():
        style = "bold green" if name == best else ""
        number = f"{share:.3f}" if counts is None else f"{counts[name]:,}"
        table.add_row(
            Text(name, style),
            Text(bar(share, _BAR), "green" if style else "dim"),
            Text(number, style),
        )
    return table


def _hit_table(counts: Mapping[str, list[int]]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("hits")
    for name in (*PLANES, "all"):
        table.add_column(name, justify="right")
    sums = np.zeros(len(PLANES), np.int64)
    for name, row in counts.items():
        sums += row
        style = "dim" if name == FILTERED or not any(row) else ""
        table.add_row(name, *(f"{n:,}" for n in (*row, sum(row))), style=style)
    table.add_row("all", *(f"{n:,}" for n in (*sums.tolist(), int(sums.sum()))), style="bold")
    return table
