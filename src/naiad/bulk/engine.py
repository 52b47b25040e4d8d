"""What does the chunks: servers, or a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version
from importlib.util import find_spec
from typing import Protocol, TypeAlias

from naiad.bulk.application import Bulk, Json
from naiad.bulk.job import Chunk
from naiad.bulk.journal import Record

Advance: TypeAlias = Callable[[int, int], None]
"""Told that so many more items are done, and how many of those failed."""


class Engine(Protocol):
    """Does chunks; in any order, each at least once."""

    metadata: dict[str, str]
    """That of the model, as `Pipeline.metadata` gives it."""

    def about(self) -> Json:
        """Facts for the provenance of the results."""
        ...

    def run(self, bulk: Bulk, chunks: Iterable[Chunk], advance: Advance) -> Iterator[Record]:
        """Do the chunks, which are taken as they are needed; give each when it is on disk.

        Raises:
            NaiadError: it cannot go on; what is on disk stays.
        """
        ...


def versions(*packages: str) -> dict[str, str]:
    """The versions of those packages that are installed."""
    return {name: version(name) for name in packages if find_spec(name) is not None}
