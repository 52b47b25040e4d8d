"""Terminal report on labels of images."""

from __future__ import annotations

from rich.text import Text

from naiad.console import output, print_bars
from naiad.tasks.task import Found


class BarReport:
    """The classes of a few images, each with a bar for its score."""

    def __init__(self) -> None:
        """Begin without results."""
        self._found: list[Found] = []

    def add(self, found: Found) -> None:
        """Take one more result."""
        self._found.append(found)

    def print(self, seconds: float) -> None:
        """Print all images."""
        for found in self._found:
            output.print(Text(found.name, "bold"), soft_wrap=True)
            print_bars(found.result.labels, found.result.scores)
