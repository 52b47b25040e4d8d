"""What was found on images, for the terminal and for spreadsheets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rich.text import Text

from naiad.applications.image.client import Classification
from naiad.console import bar, output, print_bars

COLUMNS: Final = ("file", "rank", "label", "class", "score")

_SHORT_BAR = 12


def print_result(path: Path, found: Classification) -> None:
    """Print the classes of one image, each with a bar."""
    output.print(Text(str(path), "bold"), soft_wrap=True)
    print_bars(found.labels, found.scores)


def print_line(path: Path, found: Classification) -> None:
    """Print the best class of one image of many, in one line."""
    line = Text(f"{bar(found.score, _SHORT_BAR):{_SHORT_BAR}} ", "green")
    line.append(f"{found.score:.3f}  ", "default").append(found.label, "bold default")
    output.print(line.append(f"  {path}", "dim"), soft_wrap=True)


def rows(path: Path, found: Classification) -> Iterator[tuple[object, ...]]:
    """One image's classes as rows of ``COLUMNS``."""
    ranked = zip(found.labels, found.classes, found.scores, strict=True)
    for rank, (label, number, score) in enumerate(ranked, start=1):
        yield path, rank, label, number, score
