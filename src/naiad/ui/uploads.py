"""Files that a client sent: kept in a folder of their own while a call needs them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from naiad.ui.task_fields import file_name


class Uploads:
    """A temporary folder for files; those of equal names are in folders of their own."""

    def __init__(self) -> None:
        """Make the folder; only this user can read it."""
        self._temporary = TemporaryDirectory(prefix="naiad-upload-", ignore_cleanup_errors=True)
        self._folder = Path(self._temporary.name)
        self._folders = 0

    def __enter__(self) -> Uploads:
        return self

    def __exit__(self, *error: object) -> None:
        """Delete the files."""
        self._temporary.cleanup()

    def copy(self, name: str, file: IO[bytes]) -> Path:
        """Write a file's content under the last part of its name; return where."""
        path = self._path(name)
        with path.open("wb") as target:
            shutil.copyfileobj(file, target, 1 << 20)
        return path

    def place(self, files: Sequence[tuple[str, bytes | Path]]) -> list[Path]:
        """Write content that is not in a file yet; return the paths of all."""
        paths: list[Path] = []
        for name, content in files:
            if isinstance(content, Path):
                paths.append(content)
            else:
                paths.append(self._path(name))
                paths[-1].write_bytes(content)
        return paths

    def without_folder(self, text: str) -> str:
        """Return a text with files' own names in place of their paths here."""
        for number in range(self._folders):
            text = text.replace(f"{self._folder}/{number}/", "")
        return text

    def _path(self, name: str) -> Path:
        """Return where to write a file: beside the others, as some come in pairs, if it can be."""
        folders = (self._folder / str(number) for number in range(self._folders + 1))
        path = next(
            one / file_name(name) for one in folders if not (one / file_name(name)).exists()
        )
        path.parent.mkdir(exist_ok=True)
        self._folders = len([*self._folder.iterdir()])
        return path
