"""Reports that several applications share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from rich.text import Text

from naiad.console import bar, print_columns, say
from naiad.tasks.task import Found

_BAR: Final = 12  # characters of a score of 1


class LabelReport:
    """Report with a line per unit, its label and a bar for its score, then counts of labels.

    Args:
        unit: name of the units, in the plural.
        score: of a result, 0 to 1; ``label`` is an attribute of results.
        style: of a result's label and bar.
        name: of the score, where it is not that of the label.
    """

    def __init__(
        self,
        unit: str,
        score: Callable[[Any], float] = lambda result: result.score,
        style: Callable[[Any], str] = lambda result: "green",
        name: str = "",
    ) -> None:
        """Begin without results."""
        self._unit, self._score, self._style = unit, score, style
        self._name = f"{name} " if name else ""
        self._rows: list[list[Text | str]] = []
        self._counts: Counter[str] = Counter()

    def add(self, found: Found) -> None:
        """Take one more result."""
        result = found.result
        score, style = self._score(result), self._style(result)
        self._counts[result.label] += 1
        self._rows.append(
            [
                Text(result.label, f"bold {style}"),
                f"{self._name}{score:.3f}",
                Text(f"{bar(score, _BAR):{_BAR}}", style),
                Text(found.name, "dim"),
            ]
        )

    def print(self, seconds: float) -> None:
        """Print all lines and the counts."""
        print_columns(self._rows)
        listed = ", ".join(f"{label} {count:,}" for label, count in self._counts.most_common())
        say(f"{self._counts.total():,} {self._unit}: {listed}")
