"""Where compiled kernels are kept, so that only the first start of a machine compiles them.

Numba's files are named for the processor, and are written under another name and then moved:
workers that start at once do not disturb each other. They are pickles, so they are read only from
a directory that is the user's own.
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
    """Let functions that are given to ``numba.njit(cache=True)`` meanwhile be kept for later.

    They are in ``$NUMBA_CACHE_DIR`` if that is set, else in Naiad's cache directory, else, where
    that cannot be written, in the temporary directory; under a name made of the contents of the
    source files, because Numba looks at one file only and at its date.

    Raises:
        ArtifactError: none of them can be written.
    """
    config: Any = numba_config  # its settings are made when it is imported
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
    """A directory that nobody else can write to."""
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
        f"neither {parents[0]} nor {parents[1]} can be written to keep compiled code in; "
        "set NAIAD_CACHE to another directory"
    )


def _is_own(folder: Path) -> bool:
    """Whether nobody but the user can replace what is in a folder."""
    state = folder.lstat()
    return state.st_uid == os.getuid() and not state.st_mode & 0o022
