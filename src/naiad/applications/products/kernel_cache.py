"""The cache of compiled kernels: only the first start on a machine compiles them.

Numba names its files for the processor, and writes them under another name before moving them, so
workers that start together do not disturb each other. The files are pickles, so they are read only
from a directory that belongs to the user.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from numba.core import config as numba_config

from naiad.artifacts import cache_directory
from naiad.errors import ArtifactError


@contextmanager
def kernel_cache(*sources: str) -> Generator[None]:
    """Cache the functions that are passed to ``numba.njit(cache=True)`` within the block.

    They go to ``$NUMBA_CACHE_DIR`` if it is set, else to Naiad's cache directory, else, if that
    cannot be written, to the temporary directory. The name is a hash of the source files, because
    Numba checks only one file, and only its date.

    Raises:
        ArtifactError: no directory can be written.
    """
    config: Any = numba_config  # untyped: its settings are created at import
    chosen = config.CACHE_DIR
    if chosen:
        yield
        return
    digest = hashlib.sha256(b"".join(Path(source).read_bytes() for source in sources))
    config.CACHE_DIR = str(_private_directory() / digest.hexdigest()[:16])
    try:
        yield
    finally:
        config.CACHE_DIR = chosen


def _private_directory() -> Path:
    """Return a directory that nobody else can write to."""
    parents = (cache_directory().resolve(), Path(tempfile.gettempdir()) / f"naiad-{os.getuid()}")
    for parent in parents:
        path = parent / "kernels"
        try:
            parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.mkdir(mode=0o700, exist_ok=True)
            own = all(_is_own(folder) for folder in (parent, path))
        except OSError:
            continue
        if own and os.access(path, os.W_OK | os.X_OK):
            return path
    raise ArtifactError(
        f"compiled code cannot be cached in {parents[0]} or {parents[1]}: neither is writable by "
        "this user alone; set NAIAD_CACHE to another directory"
    )


def _is_own(folder: Path) -> bool:
    """Return whether only the user can replace files in a folder."""
    state = folder.lstat()
    return state.st_uid == os.getuid() and not state.st_mode & 0o022
