"""What was found in scans, for the terminal and for spreadsheets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rich.table import Table
from rich.text import Text

from naiad.applications.medical.bundle.client import About, Answer, Segmentation
from naiad.console import bar, output

_BAR: Final = 28  # characters of a probability of 1, or of the largest label


def columns(about: About) -> tuple[str, ...]:
    """Of a table with a row per label or class."""
    if about.task == "segmentation":
        return ("scan", "label", "name", about.kind.unit)
    return ("scan", "class", "name", "probability")


def print_answer(place: str, answer: Answer) -> None:
    """Print the sizes of one scan's labels, or the probabilities of its classes."""
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(width=_BAR)
    table.add_column(justify="right")
    if isinstance(answer, Segmentation):
        shown = [label for label in answer.labels if label.name != "background"]
        most = max((label.size for label in shown), default=0) or 1
        for label in shown:
            length = bar(label.size / most, _BAR)
            table.add_row(f"  {label.name}", Text(length, "dim"), answer.kind.said(label.size))
        if not shown:
            table.add_row("  nothing but background", "", "")
    else:
        for name, share in answer.probabilities.items():
            style = "bold green" if name == answer.label else ""
            length = Text(bar(share, _BAR), style or "dim")
            table.add_row(Text(f"  {name}", style), length, f"{share:.3f}")
    output.print(Text(place, "bold"), soft_wrap=True)
    output.print(table, highlight=False)


def rows(answer: Answer) -> Iterator[tuple[int, str, float]]:
    """Number, name, and size or probability of each label or class."""
    if isinstance(answer, Segmentation):
        for label in answer.labels:
            yield label.number, label.name, label.size
    else:
        for number, (name, share) in enumerate(answer.probabilities.items()):
            yield number, name, share
