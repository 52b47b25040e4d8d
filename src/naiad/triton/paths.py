"""Folders that Triton can use: its Python backend passes paths through a shell, unquoted."""

from __future__ import annotations

import os
import shlex
import tempfile
from pathlib import Path

from naiad.artifacts import cache_directory
from naiad.errors import EngineError


def is_plain(path: Path) -> bool:
    """Return True if the Python backend can use the path, which a shell sees unquoted (2.51)."""
    return shlex.quote(str(path)) == str(path)


def plain_temporary_directory(prefix: str) -> Path:
    """Make a temporary directory whose path :func:`is_plain`.

    Raises:
        EngineError: no temporary directory has such a path.
    """
    for parent in (Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")):
        if is_plain(parent) and os.access(parent, os.W_OK | os.X_OK):
            return Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    raise EngineError(
        f"Triton's Python backend needs a temporary directory without spaces in its path, unlike "
        f"{tempfile.gettempdir()}; set TMPDIR"
    )


def usable_cache(cache: Path | None = None) -> Path:
    """Return ``cache``, by default Naiad's, or a folder of the user's in the temporary directory.

    The latter if the cache's path has spaces or the like, or cannot be written.

    Raises:
        EngineError: neither can be used.
    """
    cache = cache or cache_directory()
    if is_plain(cache):
        try:
            cache.mkdir(parents=True, exist_ok=True)
        except OSError:
            pass
        else:
            if os.access(cache, os.W_OK | os.X_OK):
                return cache
    for parent in (Path(tempfile.gettempdir()), Path("/tmp")):
        fallback = parent / f"naiad-{os.getuid()}"
        if not is_plain(fallback):
            continue
        fallback.mkdir(mode=0o700, exist_ok=True)
        if fallback.stat().st_uid == os.getuid():
            return fallback
    raise EngineError(
        f"the cache directory {cache} cannot be used (it must be writable and have no spaces in "
        f"its path); set NAIAD_CACHE to another"
    )
