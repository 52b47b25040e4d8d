"""The folder for temporary files of the page's process: uploads do not outlive it."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_PREFIX: Final = "naiad-ui-"
_LOCK: Final = "lock"


@contextmanager
def own_folder() -> Generator[Path]:
    """Make the folder the place of temporary files, and delete it at the end.

    Those of processes that were killed, and could not, are deleted, too.
    """
    parent, before = Path(tempfile.gettempdir()), tempfile.tempdir
    for path in parent.glob(f"{_PREFIX}*"):
        _delete_abandoned(path)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    with (folder / "new").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # until this process ends, however it does
        Path(lock.name).rename(folder / _LOCK)  # others never find it without its owner
        tempfile.tempdir = str(folder)
        try:
            yield folder
        finally:
            tempfile.tempdir = before
            shutil.rmtree(folder, ignore_errors=True)


def _delete_abandoned(folder: Path) -> None:
    """Delete a folder of this user's whose process has ended."""
    with suppress(OSError):  # it is just being made or deleted, or is another user's
        if folder.is_symlink() or folder.stat().st_uid != os.getuid():
            return
        with (folder / _LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
