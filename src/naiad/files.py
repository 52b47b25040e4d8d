"""Users' data files: search and reading."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from naiad.errors import InvalidInput


def find_files(paths: Iterable[Path], suffixes: Collection[str], what: str) -> Iterator[Path]:
    """Yield given files, and those in and below folders that end in ``suffixes``, sorted.

    Raises:
        InvalidInput: a folder has no such file; ``what`` is their name in the message.
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
    """Return the bytes of a file.

    Raises:
        InvalidInput: it cannot be read, or has over ``most`` bytes.
    """
    try:
        size = path.stat().st_size
        if size > most:
            raise InvalidInput(f"{path} has {size:,} bytes; the server takes {most:,}")
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror or error}") from error
