"""The approximate index of a store in a folder: when it is made, kept, made anew and refused."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naiad.applications.store import GraphSchema, NodeTable, create_store, open_store, write_store
from naiad.applications.store.vector_index import VectorIndex
from naiad.errors import StoreError

SCHEMA = GraphSchema((NodeTable("Node", vectors={"v": 8, "w": 4}),))
NUMBER = 200
KEYS = [f"n{i}" for i in range(NUMBER)]
VECTORS = np.random.default_rng(0).normal(size=(NUMBER, 8)).astype(np.float32)
FAR = np.full((1, 8), 5, np.float32) * [[1, -1] * 4]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    path = tmp_path / "store"
    with create_store(path, SCHEMA, approximate_from=NUMBER) as writer:
        writer.load_nodes("Node", pa.table({"id": KEYS}))
        writer.set_vectors("Node", "v", KEYS, VECTORS)
    return path


def indexes(place: Path) -> list[dict[str, object]]:
    return json.loads((place / "store.json").read_text())["indexes"]


def first(place: Path, query: np.ndarray) -> object:
    with open_store(place, threads=1) as store:
        return store.nearest("Node", "v", query, 1)[0].key


def test_an_index_is_made_from_so_many_vectors_on(place: Path) -> None:
    assert indexes(place) == [
        {"table": "Node", "vector": "v", "number": 200, "trained": 200, "changed": 0}
    ]
    assert sorted(path.name for path in place.glob("*.Node.*")) == [
        "000001.Node.v.faiss",
        "000001.Node.v.keys",
    ]
    with write_store(place) as writer:
        writer.set_vectors("Node", "w", KEYS[1:], np.ones((NUMBER - 1, 4), np.float32))
    assert [index["vector"] for index in indexes(place)] == ["v"]
    with write_store(place, approximate_from=150):
        pass
    assert [index["vector"] for index in indexes(place)] == ["v", "w"]
    with write_store(place, approximate_from=1000):
        pass
    assert indexes(place) == []
    assert json.loads((place / "store.json").read_text())["approximate_from"] == 1000
    assert len(list(place.glob("*.faiss"))) == 2  # of the generation before


def test_changed_and_new_vectors_are_found_when_they_are_published(place: Path) -> None:
    with open_store(place, threads=1) as store, write_store(place) as writer:
        writer.set_vectors("Node", "v", ["n3"], FAR.astype(np.float32))
        more = pa.array([list(-FAR[0])], pa.list_(pa.float32(), 8))
        writer.load_nodes(
            "Node",
            pa.table(
                {"id": ["new", "none"], "v": pa.concat_arrays([more, pa.nulls(1, more.type)])}
            ),
        )
        assert writer.nearest("Node", "v", FAR[0], 1)[0].key == "n3"
        assert store.nearest("Node", "v", FAR[0], 1)[0].key != "n3"
        writer.publish()
        assert store.refresh()
        assert store.nearest("Node", "v", FAR[0], 1)[0].key == "n3"
        assert store.nearest("Node", "v", -FAR[0], 1)[0].key == "new"
        # What n3 was before is gone from the index, too.
        near = store.nearest("Node", "v", VECTORS[3], 50)
        assert [hit.key for hit in near].count("n3") <= 1
    assert indexes(place)[0] == {
        "table": "Node",
        "vector": "v",
        "number": 201,
        "trained": 200,
        "changed": 2,
    }


@pytest.mark.parametrize("replaced", [False, True])
def test_memory_allocated_per_key_does_not_grow_with_the_number_of_parts(replaced: bool) -> None:
    pool = pa.default_memory_pool()

    def allocated(count: int) -> float:
        keys = pa.array([f"node {number:6}" for number in range(count)])
        vectors = np.random.default_rng(0).normal(size=(count, 8)).astype(np.float32)
        starts = range(0, count, 100)
        index = VectorIndex.trained(vectors[:100], 100, keys.type)
        before = pool.total_bytes_allocated()
        index.add((keys[n : n + 100], vectors[n : n + 100]) for n in starts)
        if replaced:
            index.put(keys, (vectors[n : n + 100] for n in starts))
        assert len(index) == count
        return (pool.total_bytes_allocated() - before) / count

    assert allocated(8_000) < 1.3 * allocated(1_000)


def test_an_index_is_made_anew_when_as_many_vectors_changed_as_it_was_made_of(place: Path) -> None:
    for changed in (150, 0):
        with write_store(place) as writer:
            writer.set_vectors("Node", "v", KEYS[:150], -VECTORS[:150])
        assert indexes(place)[0]["changed"] == changed
    assert first(place, -VECTORS[7]) == "n7"


@pytest.mark.parametrize("name", ["000001.Node.v.faiss", "000001.Node.v.keys"])
def test_a_damaged_index_is_refused_and_made_anew_by_a_writer(place: Path, name: str) -> None:
    os.truncate(place / name, 100)
    with pytest.raises(StoreError, match=r"is damaged: 000001\.Node\.v cannot be read: "):
        open_store(place)
    (place / name).unlink()
    with pytest.raises(StoreError, match=rf"is damaged: {name} is missing; opening the store"):
        open_store(place)
    with write_store(place):
        pass
    assert first(place, VECTORS[7]) == "n7"


def test_an_index_of_another_state_is_refused(place: Path) -> None:
    manifest = json.loads((place / "store.json").read_text())
    manifest["indexes"][0]["number"] = 201
    (place / "store.json").write_text(json.dumps(manifest))
    with pytest.raises(StoreError, match="has 200 vectors of 200 nodes; the database has 201"):
        open_store(place)


def test_without_faiss_the_search_is_exact(
    place: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("naiad.applications.store.ladybug.find_spec", lambda name: None)
    monkeypatch.setattr("naiad.applications.store.ladybug_writer.find_spec", lambda name: None)
    for suffix in ("faiss", "keys"):
        (place / f"000001.Node.v.{suffix}").unlink()  # nobody looks at them
    assert first(place, VECTORS[7]) == "n7"
    with caplog.at_level(logging.WARNING), write_store(place):
        pass
    assert "Node.v of 200 nodes gets no approximate index" in caplog.text
    assert indexes(place) == []


vectors = st.lists(st.sampled_from(range(30)), min_size=1, max_size=20, unique=True)


@settings(max_examples=30)
@given(st.lists(vectors, min_size=1, max_size=5))
def test_an_index_has_the_last_vector_of_each_key(puts: list[list[int]]) -> None:
    rng = np.random.default_rng(0)
    index = VectorIndex.trained(rng.normal(size=(50, 4)).astype(np.float32), 50, pa.int64())
    last: dict[int, np.ndarray] = {}
    for keys in puts:
        values = rng.normal(size=(len(keys), 4)).astype(np.float32)
        index.put(pa.array(keys, pa.int64()), [values])
        last |= dict(zip(keys, values, strict=True))
    assert len(index) == len(last)
    for vector in last.values():
        assert sorted(index.candidates(vector, len(last))) == sorted(last)


def test_a_table_may_be_called_as_a_draft_is(tmp_path: Path) -> None:
    place = tmp_path / "store"
    schema = GraphSchema((NodeTable("writing", vectors={"writing": 8}),))
    with create_store(place, schema, approximate_from=NUMBER) as writer:
        writer.load_nodes("writing", pa.table({"id": KEYS}))
        writer.set_vectors("writing", "writing", KEYS, VECTORS)
    with write_store(place) as writer:
        writer.set_vectors("writing", "writing", KEYS[3:4], FAR)
    with open_store(place, threads=1) as store:
        assert store.nearest("writing", "writing", FAR[0], 1)[0].key == KEYS[3]
    names = {
        f"{number:06d}.{rest}" for number in (1, 2) for rest in ("writing.writing.faiss", "lbug")
    }
    assert names <= {path.name for path in place.iterdir()}
