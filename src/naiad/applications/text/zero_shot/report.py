"""Labels of texts, for the terminal and for spreadsheets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.text import Text

from naiad.applications.text.zero_shot.client import Classification
from naiad.console import bar, output, print_bars

_SHORT_BAR: Final = 12
_SHOWN: Final = 100  # letters of a text


def print_result(text: str, found: Classification, top: int) -> None:
    """Print the labels of one text, each with a bar."""
    output.print(Text(_short(text), "bold"), soft_wrap=True)
    print_bars(found.labels[:top], found.scores[:top])


def print_line(text: str, found: Classification) -> None:
    """Print the best label of one text of many, in one line."""
    line = Text(f"{bar(found.score, _SHORT_BAR):{_SHORT_BAR}} ", "green")
    line.append(f"{found.score:.3f}  ", "default").append(found.label, "bold default")
    output.print(line.append(f"  {_short(text)}", "dim"), soft_wrap=True)


def table_row(text: str, found: Classification, labels: Sequence[str]) -> list[str]:
    """One text as a row of a table: the text, its best label, each label's score."""
    scores = dict(zip(found.labels, found.scores, strict=True))
    return [text, found.label, *(f"{scores[label]:.6g}" for label in labels)]


def _short(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= _SHOWN else f"{plain[: _SHOWN - 1]}…"
