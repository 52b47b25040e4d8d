"""Folders that an agent may name files in."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from naiad.errors import InvalidInput

MAX_BYTES: Final = 1 << 30
"""Largest file, and all files of a call together."""
MOST_FILES: Final = 10_000


class AllowedFolders:
    """Checks of paths that a caller names: real files, below some folders, of bounded size."""

    def __init__(self, folders: Iterable[Path] = (), max_bytes: int = MAX_BYTES) -> None:
        """Allow what is in and below ``folders``, at most ``max_bytes`` for each call.

        Raises:
            InvalidInput: one is not a folder.
        """
        self.folders = tuple(dict.fromkeys(Path(os.path.realpath(one)) for one in folders))
        self._max_bytes = max_bytes
        for folder in self.folders:
            if not folder.is_dir():
                raise InvalidInput(f"{folder} is not a folder; --folder allows what is below one")

    def __str__(self) -> str:
        """Return the folders for a message."""
        return ", ".join(map(str, self.folders)) or "none"

    def resolve(self, given: Sequence[str]) -> list[Path]:
        """Return the paths without links of files or folders that a caller named.

        A relative path is one below any of the allowed folders. Where a link leads counts, not
        where it lies; a folder that has a link out of the allowed ones is refused as a whole.

        Raises:
            InvalidInput: one is outside, missing, not a file, or too large; says which.
        """
        found = [self._resolved(one) for one in given]
        left = self._max_bytes
        for number, path in enumerate(_files(found)):
            if number >= MOST_FILES:
                raise InvalidInput(f"over {MOST_FILES:,} files; name fewer")
            left -= self._size(path)
            if left < 0:
                raise InvalidInput(
                    f"{path}: the files have over {self._max_bytes:,} bytes together; name fewer"
                )
        return found

    def _resolved(self, given: str) -> Path:
        if not self.folders:
            raise InvalidInput(
                f"{given} may not be read: no folder is allowed; "
                "start `naiad mcp` with --folder DIR"
            )
        try:
            paths = [Path(os.path.realpath(folder / given)) for folder in self.folders]
            inside = [path for path in paths if self._has(path)]
            existing = [path for path in inside if path.exists()]
        except (OSError, ValueError) as error:
            raise InvalidInput(f"{given[:200]!r} is not a path: {error}") from None
        # Of a path outside, whether it exists is not said.
        if not inside:
            raise InvalidInput(f"{given} is not below an allowed folder; they are: {self}")
        if not existing:
            raise InvalidInput(f"{given}: no such file below {self}")
        return existing[0]

    def _has(self, path: Path) -> bool:
        return any(path.is_relative_to(folder) for folder in self.folders)

    def _size(self, path: Path) -> int:
        """Return the size of a file in a folder that was named, or that was named itself."""
        target = Path(os.path.realpath(path))
        if not self._has(target):
            raise InvalidInput(f"{path} is a link out of the allowed folders: {self}")
        try:
            about = target.stat()
        except OSError as error:
            raise InvalidInput(f"{path} cannot be read: {error.strerror or error}") from None
        if stat.S_ISDIR(about.st_mode):
            return 0
        if not stat.S_ISREG(about.st_mode):
            raise InvalidInput(f"{path} is not a regular file")
        return about.st_size


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    """Yield given files, and everything below folders but subfolders; no link is followed."""
    for path in paths:
        if not path.is_dir():
            yield path
        for folder, subfolders, names in os.walk(path):
            linked = [name for name in subfolders if (Path(folder) / name).is_symlink()]
            yield from (Path(folder) / name for name in (*names, *linked))
