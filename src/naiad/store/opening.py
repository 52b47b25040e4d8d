"""Stores by their address: a folder, or the URL of an ArangoDB."""

from __future__ import annotations

from pathlib import Path

from naiad.store.protocol import Store, Writer
from naiad.store.schema import GraphSchema


def exists(where: str | Path) -> bool:
    """Whether a store was published there.

    Raises:
        StoreError: a server cannot be reached.
    """
    if _is_url(where):
        from naiad.store import arango

        return arango.exists(str(where))
    from naiad.store.folder import StoreFolder

    return StoreFolder(Path(where)).stamp() is not None


def open_store(where: str | Path, *, threads: int = 0) -> Store:
    """A store to read from; close it, or use it in a ``with`` block.

    Args:
        where: a folder, for Ladybug; or ``arangodb://user@host:port/database``.
        threads: of one query, for Ladybug; 0 for as many as there are cores.

    Raises:
        StoreError: there is none, or it is half loaded, damaged or out of reach.
    """
    if _is_url(where):
        from naiad.store.arango import ArangoStore

        return ArangoStore(str(where))
    from naiad.store.ladybug import LadybugStore

    return LadybugStore(Path(where), threads=threads)


def write_store(where: str | Path) -> Writer:
    """A store to change; use it in a ``with`` block, whose end publishes.

    Raises:
        StoreError: there is none, or another process writes to it.
    """
    return _writer(where, None)


def create_store(where: str | Path, schema: GraphSchema) -> Writer:
    """A new store to fill; use it in a ``with`` block, whose end publishes.

    What is there already is replaced when the new one is published, and can be read until then.

    Raises:
        StoreError: another process writes to it.
    """
    return _writer(where, schema)


def _writer(where: str | Path, schema: GraphSchema | None) -> Writer:
    if _is_url(where):
        from naiad.store.arango_writer import ArangoWriter

        return ArangoWriter(str(where), schema)
    from naiad.store.ladybug_writer import LadybugWriter

    return LadybugWriter(Path(where), schema)


def _is_url(where: str | Path) -> bool:
    return str(where).startswith(("arangodb://", "arangodbs://"))
