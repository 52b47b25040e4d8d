"""Settings of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from naiad.bulk.application import Bulk
from naiad.errors import InvalidInput

_LARGEST_CHUNK: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Files to process, and how.

    Attributes:
        application: the name of the application.
        bulk: its reading and writing of files.
        paths: files and folders of the user's.
        results: folder for the results.
        suffix: of the files of results, one of ``bulk.suffixes``.
        chunk: number of items that are kept together: a run that is killed may have to do as many
            again.
        force: start over, and overwrite results.
    """

    application: str
    bulk: Bulk
    paths: Sequence[Path]
    results: Path
    suffix: str
    chunk: int = 512
    force: bool = False

    def __post_init__(self) -> None:
        if self.suffix not in self.bulk.suffixes:
            known = ", ".join(self.bulk.suffixes)
            raise InvalidInput(f"format {self.suffix!r}: results are written as {known}")
        if not 1 <= self.chunk <= _LARGEST_CHUNK:
            raise InvalidInput(f"chunk is {self.chunk}; it must be 1 to {_LARGEST_CHUNK:,}")
