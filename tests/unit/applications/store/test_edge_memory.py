"""A reader's edges in memory give the answers of the database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from naiad.applications.store import (
    EdgeTable,
    GraphSchema,
    NodeTable,
    Store,
    create_store,
    open_store,
)
from naiad.applications.store.edge_memory import EdgeMemory

SCHEMA = GraphSchema(
    (NodeTable("User", key="int64"), NodeTable("Film"), NodeTable("Shop")),
    (
        EdgeTable("rated", "User", "Film", {"stars": "int64", "words": "string"}),
        EdgeTable("sells", "Shop", "Film"),
        EdgeTable("follows", "Film", "Film"),
    ),
)
GOOD = {"stars": (">=", 3)}


def ends(rng: np.random.Generator, source: list, target: list, number: int) -> pa.Table:
    """Make edges, some of them repeated."""
    return pa.table({"from": rng.choice(source, number), "to": rng.choice(target, number)})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("edges") / "store"
    rng = np.random.default_rng(5)
    users, films = list(range(40)), [f"f{i}" for i in range(30)]
    with create_store(path, SCHEMA) as writer:
        writer.load_nodes("User", pa.table({"id": users}))
        writer.load_nodes("Film", pa.table({"id": films}))
        writer.load_nodes("Shop", pa.table({"id": ["a", "b"]}))
        stars = rng.integers(0, 6, 300)
        rated = ends(rng, users, films, 300).append_column("stars", pa.array(stars))
        words = pa.array([None if star == 2 else "*" * star for star in stars])
        writer.load_edges("rated", rated.append_column("words", words))
        writer.load_edges("sells", ends(rng, ["a", "b"], films, 20))
        writer.load_edges("follows", ends(rng, films, films, 40))
    return path


@pytest.fixture(params=[0, 10_000_000], ids=["database", "memory"], scope="module")
def pair(request: pytest.FixtureRequest, place: Path) -> Iterator[tuple[Store, int]]:
    """Yield a store that keeps only small tables in memory, and their largest size."""
    with pytest.MonkeyPatch.context() as patch, open_store(place, threads=1) as store:
        patch.setattr("naiad.applications.store.edge_memory.MOST_EDGES", request.param)
        yield store, request.param


ASKED = {
    "links": lambda s: s.links("rated", [3, 1, 99, 3]),
    "links to": lambda s: s.links("rated", ["f3", "f1"], side="target"),
    "some links": lambda s: s.links("rated", [1, 2, 3], where=GOOD, limit=7),
    "follows": lambda s: s.links("follows", ["f7", "f8"], side="target"),
    "common": lambda s: s.common("User", [1, 2], ["rated"]),
    "common where": lambda s: s.common("Film", ["f1", "f9", "x"], ["rated"], where=GOOD, limit=9),
    "common of several": lambda s: s.common("Film", ["f1", "f2"], ["rated", "sells", "follows"]),
    "common of itself": lambda s: s.common("Film", ["f1"], ["follows"]),
    "common among some": lambda s: s.common("User", [1, 2], ["rated"], among=[2, 3, 9, 77]),
    "common of none": lambda s: s.common("Film", ["x"], ["rated"]),
}
_SEEN: dict[str, object] = {}


@pytest.mark.parametrize("asked", ASKED)
def test_both_answer_alike(pair: tuple[Store, int], asked: str) -> None:
    store, _ = pair
    found = [repr(each) for each in ASKED[asked](store)]
    if asked.endswith("links"):  # edges between the same nodes have no order
        found.sort()
    assert _SEEN.setdefault(asked, found) == found
    assert bool(found) == (asked != "common of none")


def test_edges_are_read_when_asking_for_each_has_taken_as_long(place: Path) -> None:
    with open_store(place, threads=1) as store:
        edge = SCHEMA.edge("rated")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("naiad.applications.store.edge_memory._WORTH", 100)  # there are 300 edges
            memory = EdgeMemory(SCHEMA, store._result)  # type: ignore[attr-defined]
            assert memory.edges(edge, (), 2) is None
            assert memory.edges(edge, (), 1) is not None
