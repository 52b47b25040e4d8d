"""Stores by their address: a folder, or the URL of an ArangoDB."""

from __future__ import annotations

from pathlib import Path

from naiad.applications.store.base import Store, Writer
from naiad.applications.store.schema import GraphSchema
from naiad.errors import InvalidInput


def exists(where: str | Path) -> bool:
    """Whether a store was published there.

    Raises:
        StoreError: a server cannot be reached.
    """
    if _is_url(where):
        from naiad.applications.store import arango

        return arango.exists(str(where))
    from naiad.applications.store.snapshots import StoreFolder

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
        from naiad.applications.store.arango import ArangoStore

        return ArangoStore(str(where))
    from naiad.applications.store.ladybug import LadybugStore

    return LadybugStore(Path(where), threads=threads)


def write_store(where: str | Path, *, approximate_from: int | None = None) -> Writer:
    """A store to change; use it in a ``with`` block, whose end publishes.

    Args:
        where: as :func:`open_store` has it.
        approximate_from: as :func:`create_store` has it; None to leave it as it is.

    Raises:
        StoreError: there is none, or another process writes to it.
    """
    return _writer(where, None, approximate_from)


def create_store(
    where: str | Path, schema: GraphSchema, *, approximate_from: int | None = None
) -> Writer:
    """A new store to fill; use it in a ``with`` block, whose end publishes.

    What is there already is replaced when the new one is published, and can be read until then.

    Args:
        where: as :func:`open_store` has it.
        schema: of the graph.
        approximate_from: a vector that so many nodes have gets an approximate index when it is
            published: in Ladybug by faiss, where it is installed; in ArangoDB the server's own,
            where it has any. None for a million in Ladybug and 100,000 in ArangoDB.

    Raises:
        StoreError: another process writes to it.
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
    return str(where).startswith(("arangodb://", "arangodbs://"))
