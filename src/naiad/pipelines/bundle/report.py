"""What was found in scans, for the terminal and for spreadsheets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rich.table import Table
from rich.text import Text

from naiad.cli.console import bar, output
from naiad.pipelines.bundle.client import Answer, Segmentation

COLUMNS: Final = {
    "segmentation": ("scan", "label", "name", "ml"),
    "classification": ("scan", "class", "name", "probability"),
}

_BAR: Final = 28  # characters of a probability of 1, or of the largest volume


def print_answer(place: str, answer: Answer) -> None:
    """Print the volumes of one scan's labels, or the probabilities of its classes."""
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(width=_BAR)
    table.add_column(justify="right")
    if isinstance(answer, Segmentation):
        shown = [v for v in answer.volumes if v.name != "background"]
        most = max((volume.ml for volume in shown), default=0.0) or 1.0
        for volume in shown:
            length = bar(volume.ml / most, _BAR)
            table.add_row(f"  {volume.name}", Text(length, "dim"), f"{volume.ml:,.1f} ml")
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
    """Number, name, and volume or probability of each label or class."""
    if isinstance(answer, Segmentation):
        for volume in answer.volumes:
            yield volume.number, volume.name, volume.ml
    else:
        for number, (name, share) in enumerate(answer.probabilities.items()):
            yield number, name, share
