"""Stores by their address: a folder, or the URL of a database."""

from __future__ import annotations

from pathlib import Path

from naiad.store.protocol import Store, Writer
from naiad.store.schema import GraphSchema


def exists(where: str | Path) -> bool:
    """Whether a store was published there."""
    from naiad.store.folder import StoreFolder

    return StoreFolder(Path(where)).stamp() is not None


def open_store(where: str | Path, *, threads: int = 0) -> Store:
    """A store to read from; close it, or use it in a ``with`` block.

    Args:
        where: a folder.
        threads: of one query; 0 for as many as there are cores.

    Raises:
        StoreError: there is none, or it is half loaded or damaged.
    """
    from naiad.store.ladybug import LadybugStore

    return LadybugStore(Path(where), threads=threads)


def write_store(where: str | Path) -> Writer:
    """A store to change; use it in a ``with`` block, whose end publishes.

    Raises:
        StoreError: there is none, or another process writes to it.
    """
    from naiad.store.ladybug import LadybugWriter

    return LadybugWriter(Path(where))


def create_store(where: str | Path, schema: GraphSchema) -> Writer:
    """A new store to fill; use it in a ``with`` block, whose end publishes.

    What is there already is replaced when the new one is published, and can be read until then.

    Raises:
        StoreError: another process writes to it.
    """
    from naiad.store.ladybug import LadybugWriter

    return LadybugWriter(Path(where), schema)
