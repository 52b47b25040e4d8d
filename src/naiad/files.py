"""A user's data files: finding and reading them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from naiad.errors import InvalidInput


def find_files(paths: Iterable[Path], suffixes: Collection[str], what: str) -> Iterator[Path]:
    """Files as they are given, and those in folders whose names end in one of ``suffixes``, by
    name, with those of folders below.

    Raises:
        InvalidInput: a folder has no such file, which messages call ``what``.
    """
    endings = tuple(suffixes)
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        found = sorted(
            p for p in path.rglob("*") if p.name.lower().endswith(endings) and p.is_file()
        )
        if not found:
            raise InvalidInput(f"{path} has no {what} ({', '.join(sorted(suffixes))})")
        yield from found


def read_file(path: Path, most: int) -> bytes:
    """The bytes of a file of at most so many, which is not looked into.

    Raises:
        InvalidInput: it cannot be read, or is larger.
    """
    try:
        size = path.stat().st_size
        if size > most:
            raise InvalidInput(f"{path} has {size:,} bytes; the server takes {most:,}")
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror or error}") from error
