"""Atomic replacement of models' folders: a Triton that polls never sees half of one."""

from __future__ import annotations

import ctypes
import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2  # of Linux's renameat2


@contextmanager
def draft_of(target: Path) -> Generator[Path]:
    """Yield a new folder that replaces ``target`` if the block ends without error.

    If possible it is beside the repository, on the same file system: inside, Triton would take
    it for a model.
    """
    repository = target.parent
    repository.mkdir(parents=True, exist_ok=True)
    outside = repository.absolute().parent
    beside = os.access(outside, os.W_OK | os.X_OK)
    beside = beside and outside.stat().st_dev == repository.stat().st_dev
    place = outside if beside else repository
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=place) as scratch:
        draft = Path(scratch) / target.name
        draft.mkdir()
        yield draft
        put(draft, target)


def put(folder: Path, target: Path) -> None:
    """Rename ``folder`` to ``target``, atomically replacing an existing folder."""
    if not target.exists():
        folder.rename(target)
        return
    if not _exchange(folder, target):  # not on Linux: the name is briefly missing
        old = folder.with_name(f"{folder.name}-old")
        target.rename(old)
        folder.rename(target)
        folder = old
    shutil.rmtree(folder)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names; return False if the system cannot."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    names = os.fsencode(one), os.fsencode(other)
    return rename(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0
