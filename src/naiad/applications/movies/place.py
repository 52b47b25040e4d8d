"""The location of the film store."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from naiad.applications.store import Store, exists, open_store
from naiad.errors import StoreError

VARIABLE: Final = "NAIAD_MOVIES"
"""The environment variable that overrides the default location."""


def store_place() -> str:
    """Return the folder or URL of the store: ``NAIAD_MOVIES``, or a folder of the user's data."""
    if place := os.environ.get(VARIABLE):
        return place
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return str(Path(data) / "naiad" / "movies")


def open_films(place: str, *, threads: int = 0) -> Store:
    """Open the film store at ``place``.

    Raises:
        StoreError: the store is missing, incomplete, damaged or out of reach.
    """
    try:
        return open_store(place, threads=threads)
    except StoreError as error:
        if exists(place):
            raise
        raise StoreError(f"{error}; `naiad movies load` creates one of films") from None
