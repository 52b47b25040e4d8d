"""Results of NuGraph networks collected into blocks, for files that are written block by block."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from naiad.applications.nugraph.heads import Labels
from naiad.applications.nugraph.results import NuGraphResult
from naiad.errors import NaiadError

_HITS_PER_WRITE = 65_536


class Draft(Protocol):
    """A file in progress, which is on disk as of its last commit."""

    commits: int

    def close(self) -> None:
        """Finish the file."""
        ...


D = TypeVar("D", bound=Draft)


class BlockWriter(ABC, Generic[D]):
    """Base of a `Writer` that keeps no more than about 65,536 hits in memory."""

    def __init__(self, path: Path) -> None:
        """Begin no file yet: its columns depend on the classes of the first result."""
        self._path = path
        self._draft: D | None = None
        self._labels: Labels | None = None
        self._block: list[NuGraphResult] = []
        self._held = 0
        self._sizes: list[int] = []

    @abstractmethod
    def begin(self, labels: Labels) -> D:
        """Begin the file, for results of a model with these labels.

        Raises:
            OSError: the file cannot be written.
        """

    @abstractmethod
    def append(self, draft: D, block: Sequence[NuGraphResult], first: int) -> None:
        """Write results to the file, as one commit; ``first`` is the first one's number in it.

        Raises:
            OSError: the file cannot be written.
        """

    @property
    def written(self) -> int:
        """Number of events in the file."""
        return sum(self._sizes[: self._draft.commits]) if self._draft is not None else 0

    def add(self, name: str, unit: object, result: NuGraphResult) -> None:
        """Add one event.

        Raises:
            NaiadError: the result's classes or notice differ from those of earlier results.
            OSError: the file cannot be written.
        """
        if self._labels is None:
            self._labels = result.labels
        elif result.labels != self._labels:
            raise NaiadError(
                f"{self._path} has results of another model: {self._labels}, not {result.labels}"
            )
        self._block.append(result)
        self._held += max(1, result.num_hits)
        if self._held >= _HITS_PER_WRITE:
            self._flush()

    def close(self) -> None:
        """Write the remaining results and finish the file."""
        try:
            self._flush()
        finally:
            if self._draft is not None:
                self._draft.close()

    def _flush(self) -> None:
        block, self._block, self._held = self._block, [], 0
        if not block:
            return
        if self._draft is None:
            self._draft = self.begin(block[0].labels)
        first = sum(self._sizes)
        self._sizes.append(len(block))
        self.append(self._draft, block, first)
