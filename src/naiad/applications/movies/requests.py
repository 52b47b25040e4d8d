"""Requests of a file, a line each: titles, descriptions, or users."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from naiad.applications.text.embedding.texts import encode
from naiad.core.schema import Array
from naiad.tasks.sources import read_lines


def similar_requests(path: Path | str) -> Iterator[dict[str, Array]]:
    """A request to ``movies_similar`` for each title; errors as `read_lines`."""
    return _requests(path, "movie")


def search_requests(path: Path | str) -> Iterator[dict[str, Array]]:
    """A request to ``movies_search`` for each description; errors as `read_lines`."""
    return _requests(path, "text")


def recommend_requests(path: Path | str) -> Iterator[dict[str, Array]]:
    """A request to ``movies_recommend`` for each user's id; errors as `read_lines`."""
    return _requests(path, "user")


def _requests(path: Path | str, name: str) -> Iterator[dict[str, Array]]:
    for line in read_lines(Path(path)):
        yield {name: encode([line], name)}
