"""The compiled backend, which comes with Naiad: one library for each kind of processor."""

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
    """The backend's library.

    Args:
        machine: a kind of processor, as ``x86_64`` or ``aarch64``; by default this machine's.

    Raises:
        EngineError: there is none for it.
    """
    machine = machine or platform.machine()
    home = SOURCES / "lib"
    found = home / machine / LIBRARY
    if not found.is_file():
        known = ", ".join(sorted(path.parent.name for path in home.glob(f"*/{LIBRARY}"))) or "none"
        raise EngineError(
            f"Naiad has no compiled backend for {machine} ({known} in {home}); install Naiad's "
            f"wheel, or compile it in a clone: python scripts/native.py {machine}"
        )
    return found
