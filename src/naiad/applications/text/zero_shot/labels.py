"""Labels as users give them: in an option, in a file, or beside each text in a table."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from naiad.errors import InvalidInput
from naiad.tasks.sources import read_lines

TEXT: Final = "text"
LABELS: Final = "labels"

_DELIMITERS: Final = {".csv": ",", ".tsv": "\t"}


class Asked(NamedTuple):
    """A text, and the labels that may fit it.

    Attributes:
        text: the text.
        labels: its labels.
        own: whether they are its own, not those of all texts.
    """

    text: str
    labels: Sequence[str]
    own: bool = False


def split_labels(text: str) -> tuple[str, ...]:
    """Split a comma-separated list of labels; a label with a comma is in double quotes."""
    if not text.strip():
        return ()
    (row,) = csv.reader([text.replace("\n", " ")], skipinitialspace=True)
    return tuple(label.strip() for label in row)


def read_labels(path: Path) -> tuple[str, ...]:
    """Read a label from each line of a file that is not blank.

    Raises:
        InvalidInput: the file cannot be read, is not UTF-8 or has no label.
    """
    labels = tuple(read_lines(path))
    if not labels:
        raise InvalidInput(f"{path} has no labels; it must have one per line")
    return labels


class Table:
    """A `Source` of texts with labels of their own, from the rows of a table."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Take rows with a ``text`` and, perhaps, ``labels``."""
        self._rows = rows

    def __len__(self) -> int:
        """Return the number of texts."""
        return len(self._rows)

    def read(self, numbers: range) -> Iterator[tuple[str, Any]]:
        """Yield each text, with its labels if it has some."""
        for number in numbers:
            row = self._rows[number]
            text = str(row.get(TEXT) or "")
            try:
                labels = _labels(row.get(LABELS))
            except InvalidInput as error:
                yield text, error
            else:
                yield text, Asked(text, labels, own=True) if labels else text

    def close(self) -> None:
        """Do nothing: the file was read whole."""


def read_table(path: Path) -> Table | None:
    """Read a .csv, .tsv or .jsonl file with the column ``text``; None for any other file.

    ``labels`` is a list in JSON, or has commas between as on the command line.

    Raises:
        InvalidInput: the file cannot be read or is not UTF-8, or a line is not JSON.
    """
    suffix = path.suffix.lower()
    if suffix == ".jsonl":
        return Table([_object(line, f"{path}, line {n}") for n, line in _numbered(path)])
    if suffix not in _DELIMITERS:
        return None
    lines = read_lines(path)
    if TEXT not in next(csv.reader(lines[:1], delimiter=_DELIMITERS[suffix]), []):
        return None  # a file of texts, one per line
    try:
        data = path.read_text("utf-8-sig")
        rows = csv.DictReader(StringIO(data, newline=""), delimiter=_DELIMITERS[suffix])
        return Table(list(rows))
    except csv.Error as error:
        raise InvalidInput(f"{path} is not a table: {error}") from None


def _numbered(path: Path) -> Iterator[tuple[int, str]]:
    return enumerate(read_lines(path), start=1)


def _object(line: str, place: str) -> Mapping[str, Any]:
    try:
        found: object = json.loads(line)
    except ValueError as error:
        raise InvalidInput(f"{place} is not JSON: {error}") from None
    if not isinstance(found, dict) or not isinstance(cast("dict[str, Any]", found).get(TEXT), str):
        raise InvalidInput(f'{place} must be an object with "text", and "labels" if it has its own')
    return cast("dict[str, Any]", found)


def _labels(given: object) -> tuple[str, ...]:
    """Return the labels in a cell; () for an empty one."""
    if isinstance(given, str) and given.lstrip().startswith("["):
        try:
            given = json.loads(given)
        except ValueError as error:
            raise InvalidInput(
                f"labels are {given!r}, which is not a list in JSON: {error}"
            ) from None
    if isinstance(given, str):
        return split_labels(given) if given.strip() else ()
    if given is None:
        return ()
    if not isinstance(given, list) or not all(
        isinstance(label, str) for label in cast("list[object]", given)
    ):
        raise InvalidInput(f"labels are {given!r}; they must be a list of texts")
    return tuple(cast("list[str]", given))
