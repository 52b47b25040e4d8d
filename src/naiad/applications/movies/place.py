"""Where the graph of films is kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from naiad.applications.store import Store, exists, open_store
from naiad.errors import StoreError

VARIABLE: Final = "NAIAD_MOVIES"
"""The environment variable that names another place than the default one."""


def store_place() -> str:
    """The folder or the URL of the store: ``NAIAD_MOVIES``, or a folder of the user's data."""
    if place := os.environ.get(VARIABLE):
        return place
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return str(Path(data) / "naiad" / "movies")


def open_films(place: str, *, threads: int = 0) -> Store:
    """The store at a place.

    Raises:
        StoreError: it is missing, which says how to make it, half loaded, damaged or out of reach.
    """
    try:
        return open_store(place, threads=threads)
    except StoreError as error:
        if exists(place):
            raise
        raise StoreError(f"{error}; `naiad movies load` makes one of films") from None
