"""Where the graph of films is kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

VARIABLE: Final = "NAIAD_MOVIES"
"""The environment variable that names another place than the default one."""


def store_place() -> str:
    """The folder or the URL of the store: ``NAIAD_MOVIES``, or a folder of the user's data."""
    if place := os.environ.get(VARIABLE):
        return place
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return str(Path(data) / "naiad" / "movies")
