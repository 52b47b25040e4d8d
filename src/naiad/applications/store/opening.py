"""Stores by address: a folder, or the URL of an ArangoDB database."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from naiad.applications.store.base import Store, Writer
from naiad.applications.store.schema import GraphSchema
from naiad.errors import InvalidInput

_ARANGO: Final = re.compile("arangodbs?://")
# One slash too, as in a Path. A letter and a colon are a drive of Windows.
_URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")


def exists(where: str | Path) -> bool:
    """Return whether a store has been published at ``where``.

    Raises:
        StoreError: the server cannot be reached.
        InvalidInput: ``where`` is a URL, but not of ArangoDB.
    """
    if _is_url(where):
        from naiad.applications.store import arango

        return arango.exists(str(where))
    from naiad.applications.store.snapshots import StoreFolder

    return StoreFolder(Path(where)).stamp() is not None


def open_store(where: str | Path, *, threads: int = 0) -> Store:
    """Open a store for reading; close it, or use it in a ``with`` block.

    Args:
        where: a folder, for Ladybug; or ``arangodb://user@host:port/database``.
        threads: number of threads per query, for Ladybug; 0 for one per core.

    Raises:
        StoreError: the store is missing, incomplete, damaged or out of reach.
    """
    if _is_url(where):
        from naiad.applications.store.arango import ArangoStore

        return ArangoStore(str(where))
    from naiad.applications.store.ladybug import LadybugStore

    return LadybugStore(Path(where), threads=threads)


def write_store(where: str | Path, *, approximate_from: int | None = None) -> Writer:
    """Open a store for writing; use it in a ``with`` block, whose end publishes.

    Args:
        where: as for :func:`open_store`.
        approximate_from: as for :func:`create_store`; None to keep the store's own.

    Raises:
        StoreError: there is no store, or another process is writing to it.
    """
    return _writer(where, None, approximate_from)


def create_store(
    where: str | Path, schema: GraphSchema, *, approximate_from: int | None = None
) -> Writer:
    """Create a store to fill; use it in a ``with`` block, whose end publishes.

    An existing store can be read until the new one is published, which replaces it.

    Args:
        where: as for :func:`open_store`.
        schema: the schema of the graph.
        approximate_from: number of nodes from which a vector gets an approximate index when it is
            published: in Ladybug by faiss, if installed; in ArangoDB the server's own, if it has
            them. None for a million in Ladybug and 100,000 in ArangoDB.

    Raises:
        StoreError: another process is writing to the store.
        InvalidInput: ``approximate_from`` is below 1.
    """
    return _writer(where, schema, approximate_from)


def _writer(where: str | Path, schema: GraphSchema | None, approximate_from: int | None) -> Writer:
    if approximate_from is not None and approximate_from < 1:
        raise InvalidInput(f"approximate_from is {approximate_from}; it must be 1 or more")
    if _is_url(where):
        from naiad.applications.store.arango_writer import ArangoWriter

        return ArangoWriter(str(where), schema, approximate_from=approximate_from)
    from naiad.applications.store.ladybug_writer import LadybugWriter

    return LadybugWriter(Path(where), schema, approximate_from=approximate_from)


def _is_url(where: str | Path) -> bool:
    """Return whether a store is in ArangoDB.

    Raises:
        InvalidInput: it is another URL, which must not become a folder named ``http:``.
    """
    if _ARANGO.match(str(where)):
        return True
    if found := _URL.match(str(where)):
        scheme = "arangodbs" if found[1].lower() == "https" else "arangodb"
        shown = re.sub("//[^/]*@", "//...@", str(where))  # without a password
        raise InvalidInput(
            f"{shown} is not a store: give a folder, or {scheme}://user@host:port/database for "
            "ArangoDB"
        )
    return False
