"""The interface between ``naiad process`` and an application; see `naiad.tasks.bulk.TaskBulk`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from naiad.core.pipeline import Request
from naiad.core.schema import Arrays

Json: TypeAlias = "dict[str, Any]"


class Source(Protocol):
    """An opened input: a sequence of items, such as the events of a file."""

    def __len__(self) -> int: ...

    def read(self, numbers: range) -> Iterator[tuple[str, Any]]:
        """Give, for each number, what the item is called and the item itself, or the exception
        that says why it cannot be read.
        """
        ...

    def close(self) -> None:
        """Close the file; items that were read stay valid."""
        ...


class Writer(Protocol):
    """A file of results under way; as many are added as come, in the order of their items."""

    def add(self, name: str, item: Any, outputs: Arrays) -> None:
        """Add what the model said of the item of that name.

        Raises:
            PipelineError: the outputs are not those of this item.
        """
        ...

    def close(self) -> None:
        """Finish the file."""
        ...


class Bulk(Protocol):
    """How an application's files are processed in bulk."""

    unit: str
    """What the items are, in the plural: ``events``."""
    suffixes: tuple[str, ...]
    """The formats that results can be written in; the first is the default."""
    example: str
    """Files as one types them, for ``--help``: ``events/*.h5``."""

    def find(self, path: Path) -> Iterator[Path]:
        """Give the inputs that are meant by a path on the command line, each a file or a folder.

        Raises:
            InvalidInput: there is none.
        """
        ...

    def fingerprint(self, path: Path) -> str:
        """Tell an input from what it may become later, without reading all of it."""
        ...

    def open(self, path: Path) -> Source:
        """Open an input.

        Raises:
            InvalidInput: it cannot be read.
        """
        ...

    def request(self, item: Any, metadata: Mapping[str, str]) -> Request:
        """Make the request for an item, to the model with that metadata.

        Raises:
            InvalidInput: the item cannot be asked about.
        """
        ...

    def writer(self, path: Path, metadata: Mapping[str, str]) -> Writer:
        """Begin a file of results of the model with that metadata; without results, no file."""
        ...

    def named_options(self) -> Json:
        """Return the options that results depend on, by name."""
        ...

    def merge(self, parts: Sequence[Path], path: Path, provenance: Json) -> None:
        """Write the results of all parts, in that order, to one file that says where they are from.

        Raises:
            NaiadError: a part cannot be read.
        """
        ...
