"""What was found on images, for the terminal and for spreadsheets."""

from __future__ import annotations

import csv
from pathlib import Path
from types import TracebackType
from typing import Final

from rich.text import Text

from naiad.cli.console import bar, output, print_bars
from naiad.errors import InvalidInput
from naiad.pipelines.image.client import Classification

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


class CsvWriter:
    """Writes results as they come: a row per image and class, with ``COLUMNS`` on top."""

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            InvalidInput: it cannot be written.
        """
        try:
            self._file = path.open("w", encoding="utf-8", newline="")
        except OSError as error:
            raise InvalidInput(f"{path} cannot be written: {error.strerror}") from error
        self._rows = csv.writer(self._file)
        self._rows.writerow(COLUMNS)

    def __enter__(self) -> CsvWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def add(self, path: Path, found: Classification) -> None:
        """Write one image's classes."""
        ranked = zip(found.labels, found.classes, found.scores, strict=True)
        for rank, (label, number, score) in enumerate(ranked, start=1):
            self._rows.writerow((path, rank, label, number, f"{score:.6g}"))
