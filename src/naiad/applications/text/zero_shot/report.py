"""Terminal report on labels of texts."""

from __future__ import annotations

from collections import Counter
from typing import Final

from rich.markup import escape
from rich.text import Text

from naiad.applications.text.zero_shot.task import Classification
from naiad.console import bar, output, print_bars, say, shortened
from naiad.tasks.task import Found

_FEW: Final = 10  # up to this number of texts, each is printed with bars; else on one line
_SHORT_BAR: Final = 12


class LabelsReport:
    """A `Report` with bars for each label of a few texts; a line for each of many, and counts."""

    def __init__(self, count: int, top: int) -> None:
        """Begin without texts; ``top`` labels of each will have bars."""
        self._count, self._top = count, top
        self._found: list[tuple[str, Classification]] = []

    def add(self, found: Found) -> None:
        """Take one more text."""
        self._found.append((shortened(found.name), found.result))

    def print(self, seconds: float) -> None:
        """Print all texts."""
        few = self._count <= _FEW
        for text, found in self._found:
            if few:
                output.print(Text(text, "bold"), soft_wrap=True)
                print_bars(found.labels[: self._top], found.scores[: self._top])
            else:
                output.print(_line(text, found), soft_wrap=True)
        if not few:
            counts = Counter(found.label for _, found in self._found)
            listed = ", ".join(f"{label} {count:,}" for label, count in counts.most_common())
            say(f"{len(self._found):,} texts: {escape(listed)}")
        truncated = sum(found.truncated for _, found in self._found)
        if truncated:
            say(f"{truncated:,} texts were too long; only their beginning was read")


def _line(text: str, found: Classification) -> Text:
    line = Text(f"{bar(found.score, _SHORT_BAR):{_SHORT_BAR}} ", "green")
    line.append(f"{found.score:.3f}  ", "default").append(found.label, "bold default")
    return line.append(f"  {text}", "dim")
