"""Stores in a folder: what others see while one is written, and what is left of an accident."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tests.unit.applications.store.graphs import SCHEMA, Address

from naiad.applications.store import (
    GraphSchema,
    NodeTable,
    create_store,
    exists,
    open_store,
    write_store,
)
from naiad.errors import InvalidInput, StoreError

POINTS = GraphSchema((NodeTable("Point", vectors={"v": 8}),))


@pytest.fixture
def address(tmp_path: Path) -> Address:
    return Address(tmp_path / "films").filled()


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def python(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_other_processes_read_whole_states_while_one_writes(tmp_path: Path) -> None:
    """Every write sets all vectors to one number: a reader that sees two has seen half a state."""
    path, size = tmp_path / "points", 300
    keys = [str(i) for i in range(size)]
    with create_store(path, POINTS) as writer:
        writer.load_nodes("Point", pa.table({"id": keys}))
        writer.set_vectors("Point", "v", keys, np.ones((size, 8), np.float32))
    reader = """
        import sys, numpy as np
        from naiad.applications.store import open_store
        seen, query = [], np.ones(8, np.float32)
        keys = [str(i) for i in range(300)]
        with open_store(sys.argv[1], threads=1) as store:
            print("ready", flush=True)
            while not seen or seen[-1] < 12:
                store.refresh()
                found = store.vectors("Point", "v", keys)
                values = {float(v) for vector in found.values() for v in vector}
                assert len(found) == 300 and len(values) == 1, (len(found), values)
                assert len(store.nearest("Point", "v", query, 5)) == 5
                with open_store(sys.argv[1], threads=1) as other:
                    assert other.count("Point") == 300
                seen += values
        assert seen == sorted(seen)
        print(len(set(seen)))
    """
    readers = [python(reader, path) for _ in range(2)]
    for process in readers:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    with write_store(path) as writer:
        for number in range(2, 13):
            values = np.full((size, 8), number, np.float32)
            writer.set_vectors("Point", "v", keys, values)
            writer.publish()
    for process in readers:
        printed, complaint = process.communicate(timeout=60)
        assert process.returncode == 0, complaint
        assert int(printed) >= 2


def test_a_writer_that_is_killed_leaves_what_was_published(address: Address) -> None:
    assert isinstance(address.where, Path)
    killed = """
        import os, sys, pyarrow as pa
        from naiad.applications.store import write_store
        writer = write_store(sys.argv[1])
        writer.load_nodes("User", pa.table({"id": ["u7"]}))
        writer.publish()
        writer.load_nodes("User", pa.table({"id": ["u8"]}))
        os.kill(os.getpid(), 9)
    """
    process = python(killed, address.where)
    process.communicate(timeout=60)
    assert process.returncode == -9
    assert any(name.endswith(".writing") for name in files(address.where))
    with address.open() as store:
        assert store.get("User", ["u7", "u8"]) == [{"id": "u7"}, None]
    with address.write() as writer:
        writer.load_nodes("User", pa.table({"id": ["u8"]}))
    assert files(address.where) == ["000002.lbug", "000003.lbug", "store.json", "store.lock"]


def test_another_process_cannot_write_as_well(address: Address) -> None:
    other = """
        import sys
        from naiad.applications.store import write_store
        write_store(sys.argv[1])
    """
    with address.write():
        _, complaint = python(other, address.where).communicate(timeout=60)
    assert "StoreError" in complaint
    assert "is locked: another process is writing to it. Readers are not affected" in complaint


def test_two_generations_are_kept_and_open_ones_stay_readable(address: Address) -> None:
    assert isinstance(address.where, Path)
    with address.open() as store:
        for number in range(4):
            with address.write() as writer:
                writer.load_nodes("User", pa.table({"id": [f"v{number}"]}))
        assert files(address.where)[:2] == ["000004.lbug", "000005.lbug"]
        assert store.count("User") == 3
        assert store.nearest("Movie", "embedding", np.ones(4, np.float32), 1)[0].key == "m2"
        assert store.refresh()
        assert store.count("User") == 7


def test_a_store_whose_first_load_did_not_end_is_half_loaded(tmp_path: Path) -> None:
    path = tmp_path / "films"
    with create_store(path, SCHEMA) as writer:
        with pytest.raises(StoreError, match="is incomplete: nothing has been published"):
            open_store(path)
        writer.load_nodes("User", pa.table({"id": ["u"]}))
    with open_store(path) as store:
        assert store.count("User") == 1


@pytest.mark.parametrize(
    ("where", "meant"),
    [
        ("http://localhost:8529", "arangodb://user@host:port/database"),
        ("https://me:secret@db.example/films", "arangodbs://user@host:port/database"),
        ("file:///films", "arangodb://"),
        ("arangodb:/localhost/films", "arangodb://"),
        (Path("http://localhost:8529"), "arangodb://"),
    ],
)
def test_a_url_makes_no_folder(
    where: str | Path, meant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    schema = GraphSchema((NodeTable("Movie"),))
    for use in (open_store, write_store, exists, lambda where: create_store(where, schema)):
        with pytest.raises(
            InvalidInput, match=f"is not a store: give a folder, or {meant}"
        ) as caught:
            use(where)
        assert "secret" not in str(caught.value)
    assert not list(tmp_path.iterdir())
    with create_store("films: all", schema):  # no URL
        pass
    assert exists("films: all")


def test_a_folder_of_something_else_is_not_taken_for_a_store(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").touch()
    with pytest.raises(StoreError, match=r"is not a graph store: it has no store\.json"):
        open_store(tmp_path)
    with pytest.raises(StoreError, match=r"is not a graph store"):
        write_store(tmp_path)
    assert files(tmp_path) == ["letter.txt"]
    with pytest.raises(StoreError, match="cannot be"):
        create_store(tmp_path / "letter.txt", SCHEMA)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda manifest: manifest.pop("schema"), "cannot be used: .* field `schema`"),
        (lambda manifest: manifest.update(format=2), "format 2; this Naiad reads format 1"),
        (lambda manifest: manifest.update(generation=9), r"is damaged: 000009\.lbug is missing"),
        (
            lambda manifest: manifest["schema"]["nodes"][0].update(name="a b"),
            "'a b' is not a valid name",
        ),
        (lambda manifest: manifest["schema"].update(nodes=3), r"`int` - at `\$.schema.nodes`"),
    ],
)
def test_a_damaged_store_is_said(address: Address, change, message: str) -> None:
    assert isinstance(address.where, Path)
    path = address.where / "store.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
    with pytest.raises(StoreError, match=message):
        address.open()


def test_a_damaged_database_is_said(address: Address) -> None:
    assert isinstance(address.where, Path)
    database = address.where / "000001.lbug"
    os.truncate(database, 9000)
    with pytest.raises(StoreError, match=r"ladybug .* cannot open .*000001\.lbug"):
        address.open()
    database.write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match=r"ladybug .* cannot open .*000001\.lbug"):
        address.open()


def test_a_reader_keeps_what_it_has_where_what_follows_is_damaged(address: Address) -> None:
    assert isinstance(address.where, Path)
    with address.open() as store:
        with address.write() as writer:
            writer.load_nodes("User", pa.table({"id": ["u7"]}))
        published = address.where / "000002.lbug"
        content = published.read_bytes()
        published.write_bytes(b"no database" * 1000)
        with pytest.raises(StoreError, match=r"cannot open .*000002\.lbug"):
            store.refresh()
        assert store.count("User") == 3
        published.write_bytes(content)
        assert store.refresh()
        assert store.count("User") == 4
