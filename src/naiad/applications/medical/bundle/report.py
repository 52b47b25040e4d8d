"""Terminal report on scans: labels or classes, with bars."""

from __future__ import annotations

from typing import Final

from rich.text import Text

from naiad.applications.medical.bundle.results import Answer, Segmentation
from naiad.console import bar, output, print_columns
from naiad.tasks.task import Found

_BAR: Final = 28  # characters for a probability of 1, or for the largest label


class ScanReport:
    """The sizes of each scan's labels, or the probabilities of its classes, with bars."""

    def __init__(self) -> None:
        """Begin without results."""
        self._scans: list[tuple[str, list[list[Text | str]], tuple[str, ...]]] = []

    def add(self, found: Found) -> None:
        """Add a result, without its label maps."""
        self._scans.append((found.name, list(_lines(found.result)), found.result.notes))

    def print(self, seconds: float) -> None:
        """Print all scans."""
        for place, lines, notes in self._scans:
            output.print(Text(place, "bold"), soft_wrap=True)
            print_columns(lines)
            for note in notes:
                output.print(Text(f"  note: {note}", "yellow"), soft_wrap=True)


def _lines(answer: Answer) -> list[list[Text | str]]:
    if not isinstance(answer, Segmentation):
        best = answer.label
        shares = answer.probabilities.items()
        return [_line(name, share, f"{share:.3f}", name == best) for name, share in shares]
    shown = [label for label in answer.labels if label.name != "background"]
    most = max((label.size for label in shown), default=0) or 1
    lines = [_line(one.name, one.size / most, answer.kind.said(one.size)) for one in shown]
    return lines or [["  nothing but background"]]


def _line(name: str, share: float, said: str, best: bool = False) -> list[Text | str]:
    style = "bold green" if best else ""
    return [Text(f"  {name}", style), Text(f"{bar(share, _BAR):{_BAR}}", style or "dim"), said]
