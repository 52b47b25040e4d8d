"""A small graph of films, and the databases of all store tests."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from naiad.applications.store import (
    EdgeTable,
    GraphSchema,
    NodeTable,
    Store,
    Writer,
    create_store,
    open_store,
    write_store,
)
from naiad.applications.store.arango_server import ArangoServer

SCHEMA = GraphSchema(
    nodes=(
        NodeTable(
            "Movie",
            {"title": "string", "year": "int64", "score": "double", "genres": "strings"},
            vectors={"embedding": 4, "other": 2},
        ),
        NodeTable("Person", {"name": "string", "alive": "bool"}, key="int64"),
        NodeTable("User"),
    ),
    edges=(
        EdgeTable("hasActor", "Movie", "Person", {"role": "string"}),
        EdgeTable("hasDirector", "Movie", "Person"),
        EdgeTable("rated", "User", "Movie", {"rating": "double"}),
        EdgeTable("follows", "Movie", "Movie"),
    ),
)

MOVIES = pa.table(
    {
        "id": ["m1", "m2", "m3", "m4", "m5"],
        "title": ["Dune", "Alien", "Heat", 'It\'s a "Wonderful" `Life`', None],
        "year": [1984, 1979, 1995, 1946, None],
        "score": [6.5, 8.5, 8.25, 8.6, None],
        "genres": [["Sci-Fi"], ["Sci-Fi", "Horror"], ["Crime"], [], None],
    }
)
PEOPLE = pa.table({"id": [1, 2, 3], "name": ["Ann", "Bob", "Zoë"], "alive": [True, False, None]})
USERS = pa.table({"id": ["u1", "u2", "u3"]})
ACTORS = pa.table(
    {
        "from": ["m1", "m1", "m2", "m3"],
        "to": [1, 2, 2, 3],
        "role": ["hero", "villain", None, "cop"],
    }
)
DIRECTORS = pa.table({"from": ["m2", "m3", "m4"], "to": [1, 2, 3]})
RATINGS = pa.table(
    {
        "from": ["u1", "u1", "u2", "u2", "u2", "u3"],
        "to": ["m1", "m2", "m1", "m2", "m3", "m4"],
        "rating": [5.0, 4.5, 4.0, 2.0, 4.5, 1.0],
    }
)
FOLLOWS = pa.table({"from": ["m1", "m2", "m3"], "to": ["m2", "m3", "m4"]})
VECTORS = np.array([[1, 0, 0, 0], [2, 2, 0, 0], [0, -3, 0, 0]], np.float32)  # m1, m2, m3


@dataclass(frozen=True, slots=True)
class Address:
    """The place of an existing or future store."""

    where: str | Path

    def create(
        self, schema: GraphSchema = SCHEMA, *, approximate_from: int | None = None
    ) -> Writer:
        return create_store(self.where, schema, approximate_from=approximate_from)

    def write(self, *, approximate_from: int | None = None) -> Writer:
        return write_store(self.where, approximate_from=approximate_from)

    def open(self) -> Store:
        return open_store(self.where, threads=1)

    def filled(self) -> Address:
        """Return the place filled with the graph below; a filled folder is copied."""
        if _TEMPLATE and isinstance(self.where, Path):
            shutil.copytree(_TEMPLATE[0], self.where)
            return self
        with self.create() as writer:
            fill(writer)
        if isinstance(self.where, Path):
            _TEMPLATE.append(shutil.copytree(self.where, self.where.with_name("template")))
        return self


_TEMPLATE: list[Path] = []


def fill(writer: Writer) -> None:
    """Write the graph above."""
    assert writer.load_nodes("Movie", MOVIES) == 5
    assert writer.load_nodes("Person", PEOPLE) == 3
    assert writer.load_nodes("User", USERS) == 3
    assert writer.load_edges("hasActor", ACTORS) == 4
    assert writer.load_edges("hasDirector", DIRECTORS) == 3
    assert writer.load_edges("rated", RATINGS) == 6
    assert writer.load_edges("follows", FOLLOWS) == 3
    writer.set_vectors("Movie", "embedding", ["m1", "m2", "m3"], VECTORS)


def _ladybug(folder: Path) -> Address:
    return Address(folder / "films")


def _arangodb(folder: Path) -> Address:
    """Make a database on the server; $NAIAD_ARANGO_URL is ``arangodb://user@host:port``."""
    url = os.environ.get("NAIAD_ARANGO_URL")
    if url is None:
        pytest.skip("NAIAD_ARANGO_URL names no ArangoDB to try this on")
    name = f"naiad_test_{uuid.uuid4().hex}"
    server = ArangoServer(f"{url.rstrip('/')}/_system")
    server.database.create_database(name)
    server.close()
    return Address(f"{url.rstrip('/')}/{name}")


DATABASES: dict[str, Callable[[Path], Address]] = {"ladybug": _ladybug, "arangodb": _arangodb}
