"""What every graph store does alike.

The part for ArangoDB runs where NAIAD_ARANGO_URL names a server.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.unit.applications.store.graphs import (
    DATABASES,
    MOVIES,
    RATINGS,
    SCHEMA,
    VECTORS,
    Address,
)

from naiad.applications.store import (
    Common,
    EdgeTable,
    GraphSchema,
    Hit,
    Link,
    Neighbour,
    NodeTable,
    Store,
    Writer,
)
from naiad.errors import InvalidInput, StoreError

QUERY = np.array([1, 0, 0, 0], np.float32)


@pytest.fixture(scope="module", params=DATABASES)
def database(request: pytest.FixtureRequest) -> Callable[[Path], Address]:
    return DATABASES[request.param]


@pytest.fixture
def address(database: Callable[[Path], Address], tmp_path: Path) -> Address:
    return database(tmp_path)


@pytest.fixture(scope="module")
def store(database: Callable[[Path], Address], tmp_path_factory: pytest.TempPathFactory):
    with database(tmp_path_factory.mktemp("store")).filled().open() as store:
        yield store


def test_the_schema_is_that_of_its_making(store: Store) -> None:
    assert store.schema == SCHEMA


def test_nodes_come_in_the_order_of_their_keys_and_none_for_what_is_not_there(store: Store):
    first, none, second, again = store.get("Movie", ["m4", "nope", "m1", "m4"])
    assert none is None
    assert first == again == MOVIES.to_pylist()[3]
    assert second == MOVIES.to_pylist()[0]
    assert store.get("Person", [3]) == [{"id": 3, "name": "Zoë", "alive": None}]
    assert store.get("Movie", []) == []


@pytest.mark.parametrize(
    ("where", "keys"),
    [
        (None, ["m1", "m2", "m3", "m4", "m5"]),
        ({"title": "Alien"}, ["m2"]),
        ({"title": 'It\'s a "Wonderful" `Life`'}, ["m4"]),
        ({"title": ("=", "' OR true //")}, []),
        ({"title": ("!=", "Alien")}, ["m1", "m3", "m4"]),
        ({"title": ("in", ["Alien", "Heat"])}, ["m2", "m3"]),
        ({"title": ("in", [])}, []),
        ({"title": ""}, []),
        ({"id": ("not in", ["m1", "m2"])}, ["m3", "m4", "m5"]),
        ({"id": ("not in", [])}, ["m1", "m2", "m3", "m4", "m5"]),
        ({"year": (">", 1979)}, ["m1", "m3"]),
        ({"year": (">=", 1979), "score": ("<", 8.5)}, ["m1", "m3"]),
        ({"year": ("<", 1979)}, ["m4"]),
        ({"year": ("<=", 1979)}, ["m2", "m4"]),
        ({"year": ("between", (1946, 1984))}, ["m1", "m2", "m4"]),
        ({"genres": ("has", "Sci-Fi")}, ["m1", "m2"]),
    ],
)
def test_nodes_are_found_and_counted_by_what_they_are(store: Store, where, keys: list[str]):
    assert [record["id"] for record in store.find("Movie", where)] == keys
    assert store.count("Movie", where) == len(keys)


def test_nodes_are_found_in_an_order(store: Store) -> None:
    def found(**options) -> list[str]:
        return [record["id"] for record in store.find("Movie", **options)]

    assert found(order="year") == ["m4", "m2", "m1", "m3", "m5"]
    assert found(order="year", descending=True, limit=4) == ["m3", "m1", "m2", "m4"]
    assert found(limit=2) == ["m1", "m2"]
    assert [record["id"] for record in store.find("Person", {"alive": True})] == [1]


def test_edges_are_found_from_either_end(store: Store) -> None:
    assert store.links("hasActor", ["m2", "m1"]) == [
        Link("hasActor", "m1", 1, {"role": "hero"}),
        Link("hasActor", "m1", 2, {"role": "villain"}),
        Link("hasActor", "m2", 2, {"role": None}),
    ]
    assert [link.source for link in store.links("hasActor", [2], side="target")] == ["m1", "m2"]
    liked = store.links("rated", ["u2"], where={"rating": (">=", 4.0)})
    assert [(link.target, link.properties) for link in liked] == [
        ("m1", {"rating": 4.0}),
        ("m3", {"rating": 4.5}),
    ]
    assert len(store.links("rated", ["u1", "u2", "u3"], limit=4)) == 4
    assert store.links("rated", []) == store.links("rated", ["nobody"]) == []


def test_the_edges_of_each_node_are_counted(store: Store) -> None:
    assert store.degrees("rated") == {"u1": 2, "u2": 3, "u3": 1}
    assert store.degrees("hasActor", side="target") == {1: 1, 2: 2, 3: 1}
    liked = store.degrees("rated", side="target", where={"rating": (">=", 4.0)})
    assert liked == {"m1": 2, "m2": 1, "m3": 1}
    with pytest.raises(InvalidInput, match="no edges 'rates'"):
        store.degrees("rates")


def test_neighbours_come_by_hops(store: Store) -> None:
    people = ("hasActor", "hasDirector")
    assert store.neighbours("Movie", "m1", "Person", people) == [Neighbour(1, 1), Neighbour(2, 1)]
    assert store.neighbours("Movie", "m1", "Movie", people, hops=2) == [
        *(Neighbour("m2", 2), Neighbour("m3", 2))
    ]
    assert store.neighbours("Movie", "m1", "Movie", people, hops=4)[2:] == [Neighbour("m4", 4)]
    recent = {"year": (">", 1990)}
    found = store.neighbours("Movie", "m1", "Movie", people, hops=4, where=recent)
    assert found == [Neighbour("m3", 2)]
    assert store.neighbours("Movie", "m5", "Movie", people, hops=4) == []
    assert store.neighbours("Movie", "nope", "Movie", people) == []
    assert len(store.neighbours("Movie", "m1", "Movie", people, hops=4, limit=1)) == 1


@pytest.mark.parametrize(
    ("direction", "found"),
    [
        ("out", [("m3", 1), ("m4", 2)]),
        ("in", [("m1", 1)]),
        ("both", [("m1", 1), ("m3", 1), ("m4", 2)]),
    ],
)
def test_edges_have_a_direction(store: Store, direction, found) -> None:
    reached = store.neighbours("Movie", "m2", "Movie", ["follows"], direction=direction, hops=3)
    assert [(neighbour.key, neighbour.hops) for neighbour in reached] == found


def test_nodes_with_most_neighbours_in_common_come_first(store: Store) -> None:
    people = ["hasActor", "hasDirector"]
    assert store.common("Movie", ["m1"], people) == [Common("m2", 2), Common("m3", 1)]
    assert store.common("Movie", ["m1", "m2"], people) == [Common("m3", 1)]
    assert store.common("Movie", ["m1"], ["rated"]) == [Common("m2", 2), Common("m3", 1)]
    liked = store.common("Movie", ["m1"], ["rated"], where={"rating": (">=", 4.0)})
    assert liked == [Common("m2", 1), Common("m3", 1)]
    assert len(store.common("Movie", ["m1"], people, limit=1)) == 1
    assert store.common("Movie", [], people) == []
    among = ["m3", "m4", "m1", "nope"]
    assert store.common("Movie", ["m1"], people, among=among) == [Common("m3", 1)]
    assert store.common("Movie", ["m1"], people, among=[]) == []


def test_the_nearest_vectors_come_by_their_cosine(store: Store) -> None:
    hits = store.nearest("Movie", "embedding", QUERY)
    assert [hit.key for hit in hits] == ["m1", "m2", "m3"]
    assert [hit.score for hit in hits] == pytest.approx([1, 0.5**0.5, 0], abs=1e-6)
    assert store.nearest("Movie", "embedding", QUERY, 1) == [Hit("m1", pytest.approx(1))]
    old = store.nearest("Movie", "embedding", QUERY, where={"year": ("<", 1990)})
    assert [hit.key for hit in old] == ["m1", "m2"]
    assert store.nearest("Movie", "other", np.ones(2, np.float32)) == []


def test_vectors_are_given_back_as_they_were_set(store: Store) -> None:
    found = store.vectors("Movie", "embedding", ["m3", "m5", "nope", "m2"])
    assert found.keys() == {"m2", "m3"}
    assert all(vector.dtype == np.float32 for vector in found.values())
    np.testing.assert_array_equal(np.stack([found["m2"], found["m3"]]), VECTORS[1:])
    assert store.missing("Movie", "embedding") == ["m4", "m5"]
    assert len(store.missing("Movie", "other")) == 5


def test_all_vectors_and_all_edges_of_a_table_are_read_at_once(store: Store) -> None:
    keys, vectors = store.all_vectors("Movie", "embedding")
    assert sorted(keys) == ["m1", "m2", "m3"]
    assert vectors.dtype == np.float32
    assert dict(zip(keys, vectors.tolist(), strict=True)) == dict(
        zip(["m1", "m2", "m3"], VECTORS.tolist(), strict=True)
    )
    keys, vectors = store.all_vectors("Movie", "other")
    assert (keys, vectors.shape) == ([], (0, 2))
    ratings = store.all_links("rated")
    assert ratings.column_names == ["from", "to", "rating"]
    rows = sorted(ratings.to_pylist(), key=lambda row: (row["from"], row["to"]))
    assert rows == RATINGS.to_pylist()


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda s: s.get("Film", ["1"]), r"no nodes 'Film'; the graph has Movie, Person, User"),
        (lambda s: s.get("Movie", [1]), r"1 is not an id of Movie; its ids are string"),
        (lambda s: s.get("Person", ["1"]), r"'1' is not an id of Person; its ids are int64"),
        (lambda s: s.get("Person", [2**63]), r"not an id of Person"),
        (lambda s: s.links("rates", ["1"]), r"no edges 'rates'; the graph has hasActor"),
        (lambda s: s.find("Movie", {"titel": "x"}), r"no property 'titel'; it has id, title"),
        (lambda s: s.find("Movie", {"year": "x"}), r"Movie\.year is int64; 'x' is not"),
        (lambda s: s.find("Movie", {"year": True}), r"Movie\.year is int64; True is not"),
        (lambda s: s.find("Movie", {"year": ("~", 1)}), r"no operator '~'; choose from ="),
        (lambda s: s.find("Movie", {"year": ("between", [1])}), r"takes two values, not 1"),
        (lambda s: s.find("Movie", {"year": ("in", 3)}), r"'in' takes a list, not 3"),
        (lambda s: s.find("Movie", {"year": ("in", ["a"])}), r"is int64; 'a' is not"),
        (
            lambda s: s.find("Movie", {"genres": "Crime"}),
            r"is strings; '=' does not apply to it; use has",
        ),
        (lambda s: s.find("Movie", {"title": ("has", "a")}), r"'has' does not apply to it"),
        (lambda s: s.find("Movie", {"score": float("nan")}), r"is double; nan is not"),
        (lambda s: s.find("Movie", order="size"), r"no property 'size'"),
        (lambda s: s.find("Movie", limit=0), r"limit is 0; it must be 1 to 1,000,000"),
        (lambda s: s.nearest("Movie", "vec", QUERY), r"no vector 'vec'; it has embedding, other"),
        (lambda s: s.nearest("Person", "vec", QUERY), r"no vector 'vec'; it has none"),
        (lambda s: s.nearest("Movie", "embedding", QUERY[:3]), r"float32 \[3\].*float32 \[4\]"),
        (lambda s: s.nearest("Movie", "embedding", QUERY * np.nan), r"not finite"),
        (lambda s: s.nearest("Movie", "embedding", QUERY * 0), r"all zeros"),
        (lambda s: s.nearest("Movie", "embedding", QUERY, 0), r"k is 0"),
        (lambda s: s.neighbours("Movie", "m1", "Movie", []), r"give a list of edge tables"),
        (lambda s: s.neighbours("Movie", "m1", "Movie", "rated"), r"give a list of edge tables"),
        (lambda s: s.neighbours("Movie", "m1", "Movie", ["rated"], hops=11), r"must be 1 to 10"),
    ],
)
def test_what_the_schema_does_not_have_is_refused_by_name(store: Store, ask, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        ask(store)


def test_a_reader_cannot_write(store: Store) -> None:
    assert not hasattr(store, "load_nodes")


@pytest.mark.parametrize(
    ("table", "rows", "message"),
    [
        ("Movie", {"id": ["m1"]}, r"Movie: the id m1 occurs twice"),
        ("Movie", {"id": ["x", "x"]}, r"Movie: the id x occurs twice"),
        ("Movie", {"title": ["x"]}, r"no column 'id', which Movie needs"),
        ("Movie", {"id": ["x"], "name": ["x"]}, r"a column 'name'; Movie has id, title, year"),
        ("Movie", {"id": ["x"], "year": ["y"]}, r"year is string; Movie needs int64"),
        ("Movie", {"id": ["x", None]}, r"id is missing in 1 rows"),
        ("rated", {"from": ["u1"], "to": ["m9"]}, r"rated: an edge refers to the node m9"),
        ("rated", {"from": ["u1"], "rating": [1.0]}, r"no column 'to', which rated needs"),
    ],
)
def test_rows_that_do_not_fit_are_refused(address: Address, table: str, rows, message: str) -> None:
    address.filled()
    with pytest.raises(InvalidInput, match=message), address.write() as writer:
        (writer.load_edges if "from" in rows else writer.load_nodes)(table, pa.table(rows))
    with address.open() as store:
        assert store.count("Movie") == 5


@pytest.mark.parametrize(
    ("keys", "values", "message"),
    [
        (["m1"], np.zeros((1, 3), np.float32), r"float32 \[1, 4\]"),
        (["m1"], np.zeros((1, 4), np.int64), r"float32 \[1, 4\]"),
        (["m1", "m1"], np.zeros((2, 4), np.float32), r"a key is given twice"),
        (["m1"], np.full((1, 4), np.inf, np.float32), r"the vector of 'm1' has numbers that"),
        (["m1", "m9"], np.zeros((2, 4), np.float32), r"Movie has no node 'm9'"),
        (
            ["m1"],
            np.full((1, 4), 1e38, np.float32),
            r"'m1' has length 2e\+38; it must be 0 or 1e-15",
        ),
        (["m1"], np.full((1, 4), 1e300), r"the vector of 'm1' has numbers that are not finite"),
        (
            ["m1"],
            np.full((1, 4), 1e-30, np.float32),
            r"the vector of 'm1' has length 2e-30; it must",
        ),
    ],
)
def test_vectors_that_do_not_fit_are_refused(address: Address, keys, values, message: str) -> None:
    address.filled()
    with pytest.raises(InvalidInput, match=message), address.write() as writer:
        writer.set_vectors("Movie", "embedding", keys, values)


@pytest.mark.parametrize("number", [1e38, np.nan, 1e-30])
def test_vectors_of_loaded_nodes_are_checked_too(address: Address, number: float) -> None:
    vectors = pa.array([[1, 2], None, [0, number]], pa.list_(pa.float32(), 2))
    rows = pa.table({"id": ["a", "b", "c"], "other": vectors})
    with pytest.raises(InvalidInput, match="the vector of 'c' has"), address.create() as writer:
        writer.load_nodes("Movie", rows)


@pytest.mark.parametrize("scale", [1e-42, 1e-20, 1e20, 1e38])
def test_the_size_of_a_query_does_not_matter(store: Store, scale: float) -> None:
    hits = store.nearest("Movie", "embedding", QUERY * np.float32(scale))
    assert [hit.key for hit in hits] == ["m1", "m2", "m3"]
    assert [hit.score for hit in hits] == pytest.approx([1, 0.5**0.5, 0], abs=1e-6)


@pytest.mark.parametrize("scale", [1e-14, 1e14])
def test_lengths_that_are_taken_have_right_cosines(address: Address, scale: float) -> None:
    address.filled()
    with address.write() as writer:
        scaled = (VECTORS * scale).astype(np.float32)
        writer.set_vectors("Movie", "embedding", ["m1", "m2", "m3"], scaled)
        writer.set_vectors("Movie", "embedding", ["m4"], np.zeros((1, 4), np.float32))
    with address.open() as store:
        hits = store.nearest("Movie", "embedding", QUERY)
    assert {hit.key: hit.score for hit in hits} == pytest.approx(
        {"m1": 1, "m2": 0.5**0.5, "m3": 0, "m4": 0}, abs=1e-6
    )


def test_parquet_files_are_loaded_whole(address: Address, tmp_path: Path) -> None:
    path = tmp_path / "it's.parquet"
    rows = MOVIES.append_column("other", pa.array([[1, 2]] * 5, pa.list_(pa.float32(), 2)))
    pq.write_table(rows, path, row_group_size=2)
    with address.create() as writer:
        assert writer.load_nodes("Movie", path) == 5
    with address.open() as store:
        assert store.count("Movie") == 5
        assert store.missing("Movie", "other") == []
    with pytest.raises(InvalidInput, match=r"gone\.parquet cannot be read"), address.write() as w:
        w.load_nodes("Movie", tmp_path / "gone.parquet")
    path.write_text("no parquet")
    with pytest.raises(InvalidInput, match=r"cannot be read as Parquet"), address.write() as w:
        w.load_nodes("Movie", path)


@pytest.fixture
def unpublished(address: Address) -> Address:
    """A store whose changes are not seen before they are published."""
    if str(address.where).startswith("arangodb"):
        pytest.skip("in ArangoDB changes to a published store are seen as they are made")
    return address


def test_what_is_written_is_seen_when_it_is_published(unpublished: Address) -> None:
    address = unpublished.filled()
    more = pa.table({"id": ["u7"]})
    with address.open() as store, address.write() as writer:
        writer.load_nodes("User", more)
        assert (writer.count("User"), store.count("User")) == (4, 3)
        with address.open() as other:
            assert other.count("User") == 3
        writer.publish()
        assert store.refresh()
        assert (store.count("User"), store.refresh()) == (4, False)
        writer.set_vectors("Movie", "other", ["m1"], np.ones((1, 2), np.float32))
    assert store.refresh()


def test_what_an_error_interrupts_is_dropped_to_what_was_published(unpublished: Address) -> None:
    address = unpublished.filled()

    def write() -> None:
        with address.write() as writer:
            writer.load_nodes("User", pa.table({"id": ["u7"]}))
            writer.publish()
            writer.load_nodes("User", pa.table({"id": ["u8"]}))
            raise KeyError("stop")

    with pytest.raises(KeyError, match="stop"):
        write()
    with address.open() as store:
        assert store.get("User", ["u7", "u8"]) == [{"id": "u7"}, None]


def test_there_is_one_writer(address: Address) -> None:
    address.filled()
    with address.write(), pytest.raises(StoreError, match=r"is locked: another process is writing"):
        address.write()
    with address.write():
        pass


def test_a_store_can_be_made_anew_while_the_old_one_is_read(address: Address) -> None:
    address.filled()
    schema = GraphSchema(
        (NodeTable("Word", vectors={"v": 2}),), (EdgeTable("next", "Word", "Word"),)
    )
    with address.open() as store:
        with address.create(schema) as writer:
            writer.load_nodes("Word", pa.table({"id": ["a"]}))
            assert store.count("Movie") == 5
        store.refresh()
        assert store.schema == schema
        assert store.count("Word") == 1


def test_a_store_that_is_not_there_is_said(address: Address) -> None:
    for attempt in (address.open, address.write):
        with pytest.raises(StoreError, match="no graph store at"):
            attempt()


def test_vectors_may_be_set_again_and_are_never_mixed_up(address: Address) -> None:
    rng = np.random.default_rng(3)
    keys = [f"n{i}" for i in range(500)]
    values = rng.normal(size=(500, 2)).astype(np.float32)
    with address.create(GraphSchema((NodeTable("Node", vectors={"v": 2}),))) as writer:
        writer.load_nodes("Node", pa.table({"id": keys}))
        writer.set_vectors("Node", "v", keys, np.ones((500, 2), np.float32))
        order = rng.permutation(500)
        writer.set_vectors("Node", "v", [keys[i] for i in order], values[order])
        writer.set_vectors("Node", "v", [], values[:0])
    with address.open() as store:
        found = store.vectors("Node", "v", keys)
        np.testing.assert_array_equal(np.stack([found[key] for key in keys]), values)
        query = np.array([0.3, -0.8], np.float32)
        cosines = values @ query / np.linalg.norm(values, axis=1) / np.linalg.norm(query)
        best = np.argsort(-cosines)[:7]
        hits = store.nearest("Node", "v", query, 7)
        assert [hit.key for hit in hits] == [keys[i] for i in best]
        np.testing.assert_allclose([hit.score for hit in hits], cosines[best], atol=1e-6)


NODES = GraphSchema((NodeTable("Node", {"group": "int64"}, key="int64", vectors={"v": 16}),))


def clustered(number: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """So many vectors about 20 centres, which are what embeddings are like; and their groups."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 20, number)
    centres = np.random.default_rng(0).normal(size=(20, 16))
    return (centres[group] + 0.3 * rng.normal(size=(number, 16))).astype(np.float32), group


def fill_clustered(writer: Writer, vectors: np.ndarray, group: np.ndarray) -> None:
    keys = np.arange(len(vectors)) * 7
    writer.load_nodes("Node", pa.table({"id": keys, "group": group}))
    writer.set_vectors("Node", "v", keys.tolist(), vectors)


def test_an_approximate_index_finds_nearly_what_the_exact_search_does(address: Address) -> None:
    vectors, group = clustered(3_000)
    with address.create(NODES, approximate_from=3_000) as writer:
        fill_clustered(writer, vectors, group)
    found = total = 0
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    with address.open() as store:
        for query in clustered(30, seed=1)[0]:
            cosines = units @ query / np.linalg.norm(query)
            best = np.argsort(-cosines)[:10]
            exact = store.nearest("Node", "v", query, exact=True)
            assert [hit.key for hit in exact] == (best * 7).tolist()
            near = store.nearest("Node", "v", query)
            found += len({hit.key for hit in near} & {hit.key for hit in exact})
            total += 10
            for hit in near:
                assert hit.score == pytest.approx(cosines[int(hit.key) // 7], abs=1e-5)
            assert [hit.score for hit in near] == sorted((h.score for h in near), reverse=True)
    assert found / total > 0.95


@pytest.mark.parametrize("refused", [1, 10, 19, 20])
def test_conditions_hold_where_there_is_an_approximate_index(
    address: Address, refused: int
) -> None:
    """However few there are that they allow, and wherever those are."""
    vectors, group = clustered(2_000)
    with address.create(NODES, approximate_from=1) as writer:
        fill_clustered(writer, vectors, group)
    where = {"group": (">=", refused)}
    with address.open() as store:
        near = store.nearest("Node", "v", vectors[int(np.argmin(group))], where=where)
        exact = store.nearest("Node", "v", vectors[int(np.argmin(group))], where=where, exact=True)
    assert len(near) == len(exact) == (10 if refused < 20 else 0)
    assert len({hit.key for hit in near} & {hit.key for hit in exact}) >= 0.8 * len(exact)


def test_an_index_is_made_from_one_node_at_least(address: Address) -> None:
    with pytest.raises(InvalidInput, match="approximate_from is 0; it must be 1 or more"):
        address.create(NODES, approximate_from=0)
