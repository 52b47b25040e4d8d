"""Requests to measure with: texts of files, or simulated ones, with labels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from naiad.applications.text.embedding.files import read_lines
from naiad.applications.text.embedding.simulate import simulated_texts
from naiad.applications.text.zero_shot.client import as_request
from naiad.core.schema import Array

LABELS: Final = ("business", "space and science", "politics")


def read_requests(path: Path | str) -> Iterator[dict[str, Array]]:
    """A request for each line of a text file, with three labels.

    Raises:
        InvalidInput: the file cannot be read, or is no UTF-8.
    """
    for line in read_lines([Path(path)]):
        yield as_request([line], LABELS)


def simulated_requests(n: int, seed: int = 0) -> Iterator[dict[str, Array]]:
    """Requests for ``n`` simulated texts, one each, with three labels."""
    for text in simulated_texts(n, seed):
        yield as_request([text], LABELS)
