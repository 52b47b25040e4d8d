"""Texts of a user's: lines of files, or of standard input."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Final

from naiad.applications.text.embedding.texts import encode
from naiad.core.schema import Array
from naiad.errors import InvalidInput

STDIN: Final = Path("-")


def read_lines(paths: Iterable[Path]) -> Iterator[str]:
    """The lines of files that are not empty, as they are read; ``-`` is standard input.

    Raises:
        InvalidInput: a file cannot be read, or is no UTF-8.
    """
    for path in paths:
        yield from _lines(path)


def read_requests(path: Path | str) -> Iterator[dict[str, Array]]:
    """A request to ``text_embedding`` for each line of a text file; errors as `read_lines`."""
    for line in read_lines([Path(path)]):
        yield {"text": encode([line], "text")}


def _lines(path: Path) -> Iterator[str]:
    try:
        with nullcontext(sys.stdin) if path == STDIN else path.open(encoding="utf-8") as file:
            yield from (line.strip() for line in file if line.strip())
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is no UTF-8: {error.reason}") from error
