"""The interface between ``naiad process`` and an application; see `naiad.tasks.bulk.TaskBulk`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from naiad.core.pipeline import Request
from naiad.core.schema import Arrays

Json: TypeAlias = "dict[str, Any]"


class Source(Protocol):
    """An open input: a sequence of items, such as the events of a file."""

    def __len__(self) -> int: ...

    def read(self, numbers: range) -> Iterator[tuple[str, Any]]:
        """Yield the name of each item, and the item or the exception that reading it raised."""
        ...

    def close(self) -> None:
        """Close the file; items that were read stay valid."""
        ...


class Writer(Protocol):
    """A file of results that is being written, in the order of the items."""

    def add(self, name: str, item: Any, outputs: Arrays) -> None:
        """Add the model's outputs for an item.

        Raises:
            PipelineError: the outputs are not those of this item.
        """
        ...

    def close(self) -> None:
        """Finish the file."""
        ...


class Bulk(Protocol):
    """The bulk processing of an application's files."""

    unit: str
    """Noun for the items, in the plural: ``events``."""
    suffixes: tuple[str, ...]
    """Suffixes of the formats of results; the first is the default."""
    example: str
    """Example of inputs for ``--help``: ``events/*.h5``."""

    def find(self, path: Path) -> Iterator[Path]:
        """Yield the inputs that a path on the command line stands for, each a file or a folder.

        Raises:
            InvalidInput: it stands for none.
        """
        ...

    def fingerprint(self, path: Path) -> str:
        """Return a value that changes with the input, without reading all of it."""
        ...

    def open(self, path: Path) -> Source:
        """Open an input.

        Raises:
            InvalidInput: it cannot be read.
        """
        ...

    def request(self, item: Any, metadata: Mapping[str, str]) -> Request:
        """Make the request for an item to the model with this metadata.

        Raises:
            InvalidInput: no request can be made for the item.
        """
        ...

    def writer(self, path: Path, metadata: Mapping[str, str]) -> Writer:
        """Begin a file of results of the model with this metadata; without results, no file."""
        ...

    def named_options(self) -> Json:
        """Return the options that results depend on, by name."""
        ...

    def merge(self, parts: Sequence[Path], path: Path, provenance: Json) -> None:
        """Write the results of all parts, in this order, to one file with their provenance.

        Raises:
            NaiadError: a part cannot be read.
        """
        ...
