"""The lock of a journal, which one process at a time holds."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from naiad.errors import NaiadError
from naiad.files import open_private


@contextmanager
def locked(path: Path) -> Generator[None]:
    """Hold the lock of a journal, which ends with the process.

    It is a file of its own: closing a second descriptor of SQLite's file would end SQLite's locks.

    Raises:
        NaiadError: another process holds it; says which.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_private(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = file.read(32).decode("ascii", "replace").strip() or "unknown"
            raise NaiadError(
                f"{path} is in use by another naiad watch, process {pid}; end that one first, or "
                "name another file with --journal"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n".encode())
        yield
