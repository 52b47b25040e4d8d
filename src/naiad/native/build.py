"""Builds the front, once for each version of it, into the cache.

``python -m naiad.native.build`` does it ahead of the first start.
"""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from naiad.errors import EngineError
from naiad.triton.places import usable_cache

_log = logging.getLogger(__name__)
_MODES: Final = ("auto", "native", "python")

SOURCES: Final = Path(__file__).parent
_FLAGS: Final = (
    *("-std=c++17", "-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-pthread"),
    # The compiler's own, since Triton's process may have loaded an older one.
    *("-static-libstdc++", "-static-libgcc"),
)
_TIMEOUT: Final = 300.0  # seconds; it takes about ten


def compiler() -> str | None:
    """The C++ compiler, or None where there is none: ``$CXX``, or the first that is found."""
    named = os.environ.get("CXX", "").split()
    candidates = named[:1] or ["g++", "c++", "clang++"]
    return next((found for name in candidates if (found := shutil.which(name))), None)


def chosen_front(cache: Path) -> Path | None:
    """The front's library in ``cache``, built now where it has not been, as ``$NAIAD_FRONT`` says.

    ``native`` is for it, ``python`` for none, and ``auto``, the default, for it where it can be
    built. A path is that of one that was built before, by this version of Naiad: in images whose
    cache is empty at each start.

    Raises:
        EngineError: the variable is something else, or ``native`` where it cannot be built.
    """
    mode = os.environ.get("NAIAD_FRONT", "auto")
    if mode not in _MODES:
        if not Path(mode).is_file():
            raise EngineError(
                f"NAIAD_FRONT is {mode!r}; it must be {', '.join(_MODES)}, or the path of a library"
            )
        return Path(mode).absolute()
    if mode == "python":
        return None
    if mode == "auto" and compiler() is None and not _library(cache).is_file():
        return None
    try:
        return build(cache)
    except EngineError as error:
        if mode == "native":
            raise
        _log.warning("requests go through Python, which takes longer: %s", error)
        return None


def build(cache: Path) -> Path:
    """The front's library in ``cache``, built now where it has not been.

    Safe to call from many processes at once.

    Raises:
        EngineError: there is no compiler, or it refuses the sources; says what it said.
    """
    library = _library(cache)
    if library.is_file():
        return library
    with_what = compiler()
    if with_what is None:
        raise EngineError(
            "there is no C++ compiler to build Naiad's front with; install one (Debian, Ubuntu: "
            "apt install g++) or name it in CXX"
        )
    library.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".front-", dir=library.parent) as draft:
        made = Path(draft) / library.name
        command = [with_what, *_FLAGS, "-o", str(made), str(SOURCES / "backend.cpp"), "-ldl"]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=_TIMEOUT, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise EngineError(f"{with_what} cannot build Naiad's front: {error}") from None
        if done.returncode:
            raise EngineError(f"{with_what} cannot build Naiad's front:\n{done.stderr.strip()}")
        made.replace(library)
    return library


def _library(cache: Path) -> Path:
    text = "".join(path.read_text("utf-8") for path in sorted(SOURCES.glob("*.[hc]*")))
    # Machines of several kinds may share a cache.
    parts = (text, *_FLAGS, platform.machine(), *platform.libc_ver())
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
    return cache / "front" / digest / "libtriton_python.so"


if __name__ == "__main__":
    # For images: a compiler is then needed where they are made, and not where they run.
    print(build(usable_cache()))
