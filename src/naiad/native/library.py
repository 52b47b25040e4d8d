"""The compiled backend that ships with Naiad: one library per processor architecture."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Final

from naiad.errors import EngineError

BACKEND: Final = "naiad"
"""The backend's name in a ``config.pbtxt``."""
LIBRARY: Final = f"libtriton_{BACKEND}.so"
SOURCES: Final = Path(__file__).parent


def library(machine: str = "") -> Path:
    """Return the path of the backend's library.

    Args:
        machine: a processor architecture, ``x86_64`` or ``aarch64``; by default this machine's.

    Raises:
        EngineError: no library for that architecture.
    """
    machine = machine or platform.machine()
    home = SOURCES / "lib"
    found = home / machine / LIBRARY
    if not found.is_file():
        known = ", ".join(sorted(path.parent.name for path in home.glob(f"*/{LIBRARY}"))) or "none"
        raise EngineError(
            f"no compiled backend for {machine} ({home} has {known}); install Naiad's "
            f"wheel, or compile it in a clone: python scripts/native.py {machine}"
        )
    return found
