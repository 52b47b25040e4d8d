"""Labels of texts, for the terminal and for spreadsheets."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

from rich.text import Text

from naiad.cli.console import bar, output, print_bars
from naiad.errors import InvalidInput
from naiad.pipelines.zero_shot.client import Classification

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


class CsvWriter:
    """Writes results as they come: a row per text, with a score per label."""

    def __init__(self, path: Path, labels: Sequence[str]) -> None:
        """Open the file.

        Raises:
            InvalidInput: it cannot be written.
        """
        try:
            self._file = path.open("w", encoding="utf-8", newline="")
        except OSError as error:
            raise InvalidInput(f"{path} cannot be written: {error.strerror}") from error
        self._labels = tuple(labels)
        self._rows = csv.writer(self._file)
        self._rows.writerow(("text", "label", *labels))

    def __enter__(self) -> CsvWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def add(self, text: str, found: Classification) -> None:
        """Write one text's labels."""
        scores = dict(zip(found.labels, found.scores, strict=True))
        self._rows.writerow((text, found.label, *(f"{scores[x]:.6g}" for x in self._labels)))


def _short(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= _SHOWN else f"{plain[: _SHOWN - 1]}…"
