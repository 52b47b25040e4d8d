"""Interface of what processes chunks: servers, or a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version
from importlib.util import find_spec
from typing import Protocol, TypeAlias

from naiad.bulk.application import Bulk, Json
from naiad.bulk.inputs import Chunk
from naiad.bulk.journal import Record

Advance: TypeAlias = Callable[[int, int], None]
"""Called with the number of further items that are done, and the number of those that failed."""


class Engine(Protocol):
    """Processes chunks in any order, each at least once."""

    metadata: dict[str, str]
    """The model's metadata, as `Pipeline.metadata` gives it."""

    def about(self) -> Json:
        """Return facts for the provenance of the results."""
        ...

    def run(self, bulk: Bulk, chunks: Iterable[Chunk], advance: Advance) -> Iterator[Record]:
        """Process the chunks, taking them as needed; yield each when it is on disk.

        Raises:
            NaiadError: it cannot continue; results on disk are kept.
        """
        ...


def versions(*packages: str) -> dict[str, str]:
    """Return the versions of those packages that are installed."""
    return {name: version(name) for name in packages if find_spec(name) is not None}
