"""Reading of the items of chunks, from inputs that are opened once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from naiad.bulk.application import Bulk, Source
from naiad.bulk.inputs import Chunk


@dataclass(frozen=True, slots=True)
class Reading:
    """An item, or the error of reading it, with its name and chunk."""

    chunk: Chunk
    name: str
    item: Any | Exception


class Reader:
    """Reader that keeps its last input open: finding the events of a large file takes time."""

    def __init__(self, bulk: Bulk) -> None:
        """Open nothing yet."""
        self._bulk = bulk
        self._path: Path | None = None
        self._source: Source | None = None

    def read(self, chunks: Iterable[Chunk]) -> Iterator[Reading]:
        """Yield the items of all chunks, in order.

        Raises:
            InvalidInput: an input can no longer be opened, or not from here.
        """
        for chunk in chunks:
            source = self._open(chunk.path)
            for name, item in source.read(range(chunk.first, chunk.stop)):
                yield Reading(chunk, name, item)

    def close(self) -> None:
        """Close the open input."""
        if self._source is not None:
            self._source.close()
        self._source = self._path = None

    def __enter__(self) -> Reader:
        """Return the reader itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the open input."""
        self.close()

    def _open(self, path: Path) -> Source:
        if self._source is None or path != self._path:
            self.close()
            self._source, self._path = self._bulk.open(path), path
        return self._source
