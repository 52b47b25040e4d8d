"""The store in ArangoDB, against exchanges written down from ArangoDB's documentation.

No live server is asked here; the tests of all stores are run on one where NAIAD_ARANGO_URL is set.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.unit.applications.store.graphs import SCHEMA
from tests.unit.applications.store.tape import (
    Exchange,
    collections,
    created,
    dropped,
    played,
    query,
    refused,
)

from naiad.applications.store import (
    Common,
    GraphSchema,
    Hit,
    Link,
    Neighbour,
    NodeTable,
    create_store,
    exists,
    open_store,
    write_store,
)
from naiad.applications.store.arango_server import ArangoServer, document_key
from naiad.errors import InvalidInput, StoreError

QUERY = np.array([1, 0, 0, 0], np.float32)
ALL = ["Movie_g3", "Person_g3", "User_g3"]


def schema_document(
    schema: GraphSchema = SCHEMA, generation: int = 3, indexed: Any = (), publications: int = 1
) -> Any:
    return {
        "_key": "schema",
        "_id": "naiad_store/schema",
        "schema": schema.to_json(),
        "generation": generation,
        "publications": publications,
        "indexed": list(indexed),
        "approximate_from": 100_000,
    }


def meta(key: str, *rows: Any) -> Exchange:
    return query("FILTER n._key == @key", list(rows), {"@meta": "naiad_store", "key": key})


def opened(indexed: Any = ()) -> tuple[Exchange, Exchange]:
    return collections("naiad_store"), meta("schema", schema_document(indexed=indexed))


@pytest.mark.parametrize(
    ("ask", "exchange", "found"),
    [
        (
            lambda s: s.count("Movie", {"year": (">", 1990)}),
            query(
                "FOR n IN @@c2 FILTER n[@v0] > @v1 COLLECT WITH COUNT INTO number",
                [1],
                {"v0": "year", "v1": 1990, "@c2": "Movie_g3"},
            ),
            1,
        ),
        (
            lambda s: s.get("Person", [7, 1]),
            query(
                "FILTER n._key IN @v1 RETURN KEEP(n, @v2)",
                [{"id": 1, "name": "Ann"}],
                {"@c0": "Person_g3", "v1": ["7", "1"], "v2": ["id", "name", "alive"]},
            ),
            [None, {"id": 1, "name": "Ann", "alive": None}],
        ),
        (
            lambda s: s.find("User", order="id", descending=True, limit=1),
            query("SORT n[@v1] == null, n[@v1] DESC, n.id LIMIT @v2", [{"id": "u3"}]),
            [{"id": "u3"}],
        ),
        (
            lambda s: s.links("rated", ["u 1"], where={"rating": ("between", (4.0, 5.0))}),
            query(
                "FILTER e._from IN @v4 FILTER (e[@v0] != null AND e[@v0] >= @v1[0] AND "
                "e[@v0] <= @v1[1]) SORT e.from, e.to LIMIT @v2",
                [{"from": "u 1", "to": "m1", "rating": 4.5}],
                {
                    "v0": "rating",
                    "v1": [4.0, 5.0],
                    "v2": 100_000,
                    "@c3": "rated_g3",
                    "v4": ["User_g3/u%201"],
                    "v5": ["from", "to", "rating"],
                },
            ),
            [Link("rated", "u 1", "m1", {"rating": 4.5})],
        ),
        (
            lambda s: s.degrees("rated", side="target", where={"rating": (">", 4.0)}),
            query(
                "FOR e IN @@c0 FILTER e[@v2] > @v3 COLLECT key = e[@v1] WITH COUNT INTO number "
                "RETURN [key, number]",
                [["m1", 2], ["m3", 1]],
                {"@c0": "rated_g3", "v1": "to", "v2": "rating", "v3": 4.0},
            ),
            {"m1": 2, "m3": 1},
        ),
        (
            lambda s: s.neighbours("Movie", "m1", "Person", ["hasActor"], direction="out", hops=2),
            query(
                "WITH @@c3, @@c4, @@c5 FOR n, e, p IN 1..@v1 OUTBOUND @v0 @@c2 OPTIONS",
                [[1, 1]],
                {
                    "v0": "Movie_g3/m1",
                    "v1": 2,
                    "@c2": "hasActor_g3",
                    **{f"@c{i}": name for i, name in enumerate(ALL, start=3)},
                    "v6": "Person_g3",
                    "v7": 100,
                },
            ),
            [Neighbour(1, 1)],
        ),
        (
            lambda s: s.common("Movie", ["m1"], ["rated"], where={"rating": (">=", 4.0)}, limit=5),
            query(
                "COLLECT key = b.id AGGREGATE common = COUNT_DISTINCT(x) "
                "SORT common DESC, key LIMIT @v0",
                [["m2", 2]],
            ),
            [Common("m2", 2)],
        ),
        (
            lambda s: s.common("Movie", ["m1"], ["rated"], among=["m2", "m9"]),
            query(
                "FILTER b._id NOT IN @v1 FILTER b.id IN @v2  COLLECT key",
                [["m2", 2]],
            ),
            [Common("m2", 2)],
        ),
        (
            lambda s: s.all_links("rated").to_pylist(),
            query(
                "FOR e IN @@c0 RETURN KEEP(e, @v1)",
                [{"from": "u1", "to": "m1", "rating": 4.5}, {"from": "u2", "to": "m1"}],
                {"@c0": "rated_g3", "v1": ["from", "to", "rating"]},
            ),
            [
                {"from": "u1", "to": "m1", "rating": 4.5},
                {"from": "u2", "to": "m1", "rating": None},
            ],
        ),
        (
            lambda s: s.nearest("Movie", "embedding", QUERY, 2, where={"title": "x"}),
            query(
                "FOR n IN @@c0 FILTER n[@v1] != null FILTER n[@v4] == @v5 "
                "LET score = NOT_NULL(COSINE_SIMILARITY(n[@v1], @v2), 0) SORT score DESC, n.id",
                [["m1", 1.0]],
                {
                    "@c0": "Movie_g3",
                    "v1": "embedding",
                    "v2": [1, 0, 0, 0],
                    "v3": 2,
                    "v4": "title",
                    "v5": "x",
                },
            ),
            [Hit("m1", 1.0)],
        ),
        (
            lambda s: s.missing("Movie", "other"),
            query(
                "FILTER n[@v1] == @v2 SORT n[@v3] == null, n[@v3], n.id RETURN KEEP(n, @v4)",
                [{"id": "m1"}],
                {"@c0": "Movie_g3", "v1": "other", "v2": None, "v3": "id", "v4": ["id"]},
            ),
            ["m1"],
        ),
    ],
)
def test_each_question_is_one_query_with_bind_variables(
    ask: Callable[[Any], Any], exchange: Exchange, found: Any
) -> None:
    with played(*opened(), exchange) as tape, open_store(tape.url) as store:
        assert ask(store) == found
    assert tape.authorization == {f"Basic {base64.b64encode(b'ann:secret').decode()}"}


def test_vectors_come_as_float32() -> None:
    rows = [{"id": "m1", "embedding": [1, 2, 3, 4]}, {"id": "m2"}]
    with played(*opened(), query("KEEP(n, @v2)", rows)) as tape, open_store(tape.url) as store:
        found = store.vectors("Movie", "embedding", ["m1", "m2"])
    assert found.keys() == {"m1"}
    assert found["m1"].dtype == np.float32


def test_all_vectors_are_one_query() -> None:
    rows = [{"id": "m1", "embedding": [1, 2, 3, 4]}, {"id": "m2"}]
    with played(*opened(), query("KEEP(n, @v2)", rows)) as tape, open_store(tape.url) as store:
        keys, vectors = store.all_vectors("Movie", "embedding")
    assert keys == ["m1"]
    assert (vectors.dtype, vectors.tolist()) == (np.float32, [[1, 2, 3, 4]])


def test_a_vector_index_is_used_where_there_is_no_filter() -> None:
    near = query(
        "FOR n IN @@c0 LET score = APPROX_NEAR_COSINE(n.@v1, @v2) SORT score DESC LIMIT @v3",
        [["m1", 0.9]],
    )
    exact = query("COSINE_SIMILARITY", [])
    tape_of = played(*opened([["Movie", "embedding"]]), near, exact, exact)
    with tape_of as tape, open_store(tape.url) as store:
        assert store.nearest("Movie", "embedding", QUERY) == [Hit("m1", 0.9)]
        assert store.nearest("Movie", "embedding", QUERY, where={"year": 3}) == []
        assert store.nearest("Movie", "other", QUERY[:2] + 1) == []


def test_a_long_result_is_fetched_batch_by_batch() -> None:
    first = query("n.id RETURN", [{"id": "m1"}, {"id": "m2"}])
    first.answer |= {"hasMore": True, "id": "77"}
    rest = {"result": [{"id": "m3"}], "hasMore": False, "id": "77", "error": False, "code": 200}
    more = Exchange("POST", "/_db/db/_api/cursor/77", 200, rest)
    with played(*opened(), first, more) as tape, open_store(tape.url) as store:
        assert store.missing("Movie", "other") == ["m1", "m2", "m3"]


def test_a_publication_is_noticed() -> None:
    later = (collections("naiad_store"), meta("schema", schema_document(publications=2)))
    with played(*opened(), *later, *later) as tape, open_store(tape.url) as store:
        assert store.refresh()
        assert not store.refresh()


SMALL = GraphSchema((NodeTable("Word", {"text": "string"}, vectors={"v": 2}),))
LOCK = query("INSERT row INTO @@collection", [])
UNLOCK = query("REMOVE n IN @@meta", [], {"@meta": "naiad_store", "key": "lock"})


def test_a_store_is_made_and_replaces_another_when_it_is_published() -> None:
    rows = [{"_key": "a%20b", "id": "a b", "text": "x"}, {"_key": "c", "id": "c"}]
    exchanges = [
        *(collections(), created("naiad_store"), LOCK, meta("schema", schema_document(SMALL, 1))),
        *(dropped("Word_g2", there=False), created("Word_g2")),
        query("INSERT row INTO", [], {"rows": rows, "@collection": "Word_g2"}),
        query("COLLECT WITH COUNT", [2]),
        query("UPSERT {_key: @row._key} INSERT @row REPLACE @row IN @@meta", []),
        *(dropped("Word_g1"), UNLOCK),
    ]
    with played(*exchanges) as tape, create_store(tape.url, SMALL) as writer:
        table = pa.table({"id": ["a b", "c"], "text": ["x", None]})
        assert writer.load_nodes("Word", table) == 2


def test_a_new_store_that_fails_is_dropped_and_unlocked() -> None:
    message = (
        "AQL: unique constraint violated - in index primary of type primary over '_key'; "
        "conflicting key: a%20b (while executing)"
    )
    exchanges = [
        *(collections("naiad_store"), LOCK, meta("schema")),
        *(dropped("Word_g1", there=False), created("Word_g1")),
        refused("INSERT row INTO", 409, 1210, message),
        *(dropped("Word_g1"), UNLOCK),
    ]
    twice = pytest.raises(InvalidInput, match="Word: the id a b occurs twice")
    with played(*exchanges) as tape, twice, create_store(tape.url, SMALL) as writer:
        writer.load_nodes("Word", pa.table({"id": ["a b", "a b"]}))


def test_edges_and_vectors_are_of_nodes_that_are_there() -> None:
    lost = query("FILTER DOCUMENT(end) == null", ["Movie_g3/m%209"])
    found = query("KEEP(n, @v2)", [{"id": "m1"}])
    rows = [{"key": "m1", "value": [1.0, 2.0]}]
    update = query(
        "UPDATE {_key: row.key, [@vector]: row.value} IN @@nodes",
        [],
        {"rows": rows, "vector": "other", "@nodes": "Movie_g3"},
    )
    with played(*opened(), LOCK, lost, found, update, found, UNLOCK) as tape:
        writer = write_store(tape.url)
        with pytest.raises(InvalidInput, match="rated: an edge refers to the node m 9"):
            writer.load_edges("rated", pa.table({"from": ["u1"], "to": ["m 9"]}))
        writer.set_vectors("Movie", "other", ["m1"], np.array([[1, 2]], np.float32))
        with pytest.raises(InvalidInput, match="Movie has no node 'm2'"):
            writer.set_vectors("Movie", "other", ["m2"], np.array([[1, 2]], np.float32))
        writer.close()


@pytest.mark.parametrize("supported", [True, False])
def test_vectors_of_many_nodes_get_an_index_where_the_server_has_one(supported: bool) -> None:
    path = "/_db/db/_api/index"
    body = {
        "type": "vector",
        "fields": ["v"],
        "params": {"metric": "cosine", "dimension": 2, "nLists": 400},
    }
    made = {
        "id": "Word_g3/9",
        "type": "vector",
        "name": "v",
        "fields": ["v"],
        "code": 201,
        "error": False,
    }
    refusal = {"error": True, "code": 400, "errorNum": 10, "errorMessage": "invalid index type"}
    index = Exchange("POST", path, 201 if supported else 400, made if supported else refusal)
    index.body = body
    exchanges = [
        *(collections("naiad_store"), meta("schema", schema_document(SMALL)), LOCK),
        *(query("COLLECT WITH COUNT", [160_000]), query("FILTER n[@v1] == @v2 SORT", []), index),
        query(
            "UPSERT",
            [],
            {
                "@meta": "naiad_store",
                "row": {
                    "_key": "schema",
                    "schema": SMALL.to_json(),
                    "generation": 3,
                    "publications": 2,
                    "indexed": [["Word", "v"]] if supported else [],
                    "approximate_from": 100_000,
                },
            },
        ),
        UNLOCK,
    ]
    with played(*exchanges) as tape, write_store(tape.url):
        pass


def test_a_store_that_is_locked_says_by_whom() -> None:
    taken = refused("INSERT row INTO", 409, 1210, "unique constraint violated")
    exchanges = [*opened(), taken, meta("lock", {"owner": "mars process 7"})]
    with played(*exchanges) as tape, pytest.raises(StoreError) as caught:
        write_store(tape.url)
    assert "is locked: another process is writing to it: mars process 7" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_store_that_is_not_there_or_half_loaded_is_said() -> None:
    none = pytest.raises(StoreError, match="no graph store at arangodb://ann@127")
    with played(collections(), collections()) as tape, none:
        open_store(tape.url)
    half = [collections("naiad_store"), meta("schema")]
    half += [collections("naiad_store"), meta("lock", {"owner": "x"})]
    with played(*half, *half) as tape:
        with pytest.raises(StoreError, match="is incomplete: nothing has been published"):
            open_store(tape.url)
        assert not exists(tape.url)


@pytest.mark.slow
def test_an_error_of_the_server_is_passed_on() -> None:
    memory = pytest.raises(StoreError, match="out of memory")
    exchanges = [*opened(), refused("FILTER n[@v1] == @v2", 500, 32, "out of memory")]
    with played(*exchanges) as tape, open_store(tape.url) as store, memory:
        store.missing("Movie", "other")
    with pytest.raises(StoreError, match="cannot be reached"):
        open_store(tape.url)  # it has ended


@pytest.mark.parametrize("url", ["arangodb://", "arangodb://localhost", "arangodb:///db"])
def test_a_url_without_server_or_database_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="it must look like arangodb://user@localhost:8529/data"):
        open_store(url)


def test_passwords_are_not_shown() -> None:
    server = ArangoServer("arangodb://ann:secret@localhost:8529/db")
    assert server.name == "arangodb://ann@localhost:8529/db"
    server.close()


@pytest.mark.parametrize(
    ("key", "encoded"),
    [(5, "5"), ("Science Fiction", "Science%20Fiction"), ("a/b~é", "a%2Fb%7E%C3%A9"), ("-", "-")],
)
def test_keys_have_only_what_arangodb_allows(key: str | int, encoded: str) -> None:
    assert document_key(key) == encoded
    for bad in ("", "x" * 255):
        with pytest.raises(InvalidInput, match="cannot be an id in ArangoDB"):
            document_key(bad)
