"""The file of API keys: made, read, refused."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from naiad.errors import EngineError
from naiad.gate.keys import Key, add_key, bucket, parse_keys, read_keys, remove_key, write_keys

HASH = hashlib.sha256(b"x").hexdigest()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "new" / "keys.json"


def names() -> st.SearchStrategy[str]:
    return st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True)


def keys() -> st.SearchStrategy[Key]:
    return st.builds(
        Key,
        names(),
        st.binary(max_size=9).map(lambda data: hashlib.sha256(data).hexdigest()),
        st.sampled_from([("infer",), ("control",), ("infer", "control")]),
        st.none() | st.lists(names(), max_size=3).map(tuple),
        st.none() | st.sampled_from(["1/s", "600/m", "1000/h"]),
        st.sampled_from(["", "2026-11-29"]),
    )


@given(st.lists(keys(), max_size=5, unique_by=(lambda key: key.name, lambda key: key.sha256)))
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, found: list[Key]
) -> None:
    path = tmp_path_factory.getbasetemp() / "keys.json"
    write_keys(path, found)
    assert read_keys(path) == found


def test_a_key_is_random_and_only_its_hash_is_kept(file: Path) -> None:
    made = [add_key(file, name) for name in ("alice", "bob")]
    assert len({*made}) == 2
    for key in made:
        assert key.startswith("naiad_")
        assert len(key) == 49
        assert key not in file.read_text()
    assert [key.sha256 for key in read_keys(file)] == [
        hashlib.sha256(key.encode()).hexdigest() for key in made
    ]
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_a_name_is_there_once(file: Path) -> None:
    add_key(file, "alice")
    with pytest.raises(EngineError, match="already has a key for alice"):
        add_key(file, "alice")
    with pytest.raises(EngineError, match="has no key for bob; it has: alice"):
        remove_key(file, "bob")
    remove_key(file, "alice")
    assert read_keys(file) == []


def test_keys_that_are_made_at_the_same_time_are_all_there(file: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda index: add_key(file, f"key-{index}"), range(40)))
    assert len(read_keys(file)) == 40


@pytest.mark.parametrize("name", ["", "a b", 'a"b', "a\nb", "é", "x" * 65, "a/b", "]]"])
def test_a_name_has_plain_characters(file: Path, name: str) -> None:
    with pytest.raises(EngineError, match="must be 1 to 64 letters, digits"):
        add_key(file, name)


@pytest.mark.parametrize("rate", ["", "50", "0/s", "50/d", "-1/s", "1e3/s", "50 / s"])
def test_a_rate_is_a_number_and_a_time(file: Path, rate: str) -> None:
    with pytest.raises(EngineError, match="must be like 50/s, 600/m or 1000/h"):
        add_key(file, "alice", rate=rate)
    assert bucket("600/m") == (600, 60)


@pytest.mark.parametrize("model", ["", "a b", 'a"', "a/b", "é", "x" * 129])
def test_a_model_has_plain_characters(file: Path, model: str) -> None:
    with pytest.raises(EngineError, match="must be 1 to 128 letters"):
        add_key(file, "alice", models=(model,))


def entry(**changes: Any) -> bytes:
    return json.dumps({"keys": [{"name": "a", "sha256": HASH, **changes}]}).encode()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "Expected `object`, got `array`"),
        (b'{"keys": {}}', r"Expected `array`, got `object` - at `\$.keys`"),
        (b'{"keys": ["x"]}', r"Expected `object`, got `str` - at `\$.keys\[0\]`"),
        (b'{"keys": [{}]}', r"missing required field `name` - at `\$\[0\]`"),
        (entry(name=1), r"Expected `str.*`, got `int` - at `\$.keys\[0\]"),
        (entry(name="a\n"), "must be 1 to 64"),
        (entry(sha256="x"), "must be 64 hexadecimal digits"),
        (entry(sha256=HASH.upper()), "must be 64 hexadecimal digits"),
        (entry(may="infer"), r"Expected `array`, got `str` - at `\$\[0\].may`"),
        (entry(may=[]), "only infer and control are allowed"),
        (entry(may=["root"]), "only infer and control are allowed"),
        (entry(models="a"), r"Expected `array.*`, got `str` - at `\$\[0\].models`"),
        (entry(models=None), r"Expected `str.*`, got `null` - at `\$.keys\[0\]"),
        (entry(models=["a b"]), "must be 1 to 128"),
        (entry(rate=50), r"Expected `str.*`, got `int` - at `\$.keys\[0\]"),
        (entry(rate="x"), "must be like 50/s"),
        (entry(key="naiad_x"), "unknown field `key`"),
        (json.dumps({"keys": [{"name": n, "sha256": HASH} for n in "ab"]}).encode(), "twice"),
    ],
)
def test_a_file_that_is_wrong_is_refused_in_plain_words(text: bytes, said: str) -> None:
    with pytest.raises(EngineError, match=said):
        parse_keys(text, Path("keys.json"))


def test_a_file_that_is_not_there_is_said(file: Path) -> None:
    with pytest.raises(EngineError, match="cannot be read: No such file"):
        read_keys(file)
