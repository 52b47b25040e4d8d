"""Tables have the values of results, whatever the form of their rows."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from naiad.errors import NaiadError, PipelineError
from naiad.tasks.tables import PROVENANCE, TableWriter, block_of
from naiad.tasks.task import Column, Rows, Task

COLUMNS = (
    Column("number", "int64", fill="number"),
    Column("file", fill="unit"),
    Column("score", "float32", "how much", "kg"),
    Column("kind", "category", categories=("cat", "dog")),
    Column("note"),
)


class Kinds(Task[Any, Rows]):
    """A task whose results are rows already."""

    name, pipeline = "kinds", "nowhere:Kinds"
    unit, columns = "kinds", COLUMNS

    def request(self, unit: Any, options: Any) -> Any:
        raise NotImplementedError

    def answer(self, unit: Any, outputs: Any, card: Any) -> Rows:
        raise NotImplementedError

    def rows(self, result: Rows) -> Rows:
        return result


def write(path: Path, results: list[Rows]) -> Path:
    writer = TableWriter(Kinds(), path, COLUMNS, {"notice": "for tests"})
    for number, result in enumerate(results):
        writer.add(f"unit {number}", None, result)
    writer.close()
    return path


def read(path: Path) -> list[list[Any]]:
    if path.suffix == ".parquet":
        return [list(row.values()) for row in parquet.read_table(path).to_pylist()]
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header == [column.name for column in COLUMNS]
    return [[int(row[0]), row[1], float(row[2]), row[3], row[4]] for row in rows]


RESULTS = st.lists(
    st.lists(
        st.tuples(
            st.integers(-1000, 1000).map(lambda n: n / 4),
            st.integers(0, 1),
            st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=5),
        ),
        min_size=1,
        max_size=4,
    ),
    min_size=1,
    max_size=5,
)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@given(RESULTS)
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_and_arrays_by_column_give_one_table(
    tmp_path: Path, suffix: str, results: list[list[tuple[float, int, str]]]
) -> None:
    expected = [
        [number, f"unit {number}", score, ("cat", "dog")[kind], note]
        for number, rows in enumerate(results)
        for score, kind, note in rows
    ]
    by_column = [
        {
            "score": np.array([row[0] for row in rows]),
            "kind": np.array([row[1] for row in rows]),
            "note": [row[2] for row in rows],
        }
        for rows in results
    ]
    assert read(write(tmp_path / f"a{suffix}", list(results))) == expected
    assert read(write(tmp_path / f"b{suffix}", list(by_column))) == expected


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_one_value_is_that_of_all_rows(tmp_path: Path, suffix: str) -> None:
    result = {"score": np.arange(3), "kind": 1, "note": "same"}
    assert [row[3:] for row in read(write(tmp_path / f"a{suffix}", [result]))] == [
        ["dog", "same"]
    ] * 3


def test_what_is_masked_has_no_value(tmp_path: Path) -> None:
    masked = np.ma.MaskedArray([1.0, 2.0], [False, True])
    result = {"score": masked, "kind": np.ma.masked_all(2, np.int8), "note": "x"}
    plain = {"score": np.zeros(1), "kind": np.zeros(1), "note": "y"}
    path = write(tmp_path / "a.parquet", [result, plain])
    assert [row[2:4] for row in read(path)] == [[1, None], [None, None], [0, "cat"]]
    text = write(tmp_path / "a.csv", [result]).read_text("utf-8").splitlines()
    assert text[1:] == ["0,unit 0,1,,x", "0,unit 0,,,x"]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_merging_counts_units_on(tmp_path: Path, suffix: str) -> None:
    rows = [[(1.0, 0, "a,b"), (2.0, 1, "")], [(3.0, 0, 'c"')], [(4.0, 1, "d")]]
    parts = [
        write(tmp_path / f"{n}{suffix}", rows[first:stop])
        for n, (first, stop) in enumerate([(0, 2), (2, 3)])
    ]
    merged = tmp_path / f"merged{suffix}"
    TableWriter.merge(Kinds(), parts, merged, {"host": "here"})
    assert [row[0] for row in read(merged)] == [0, 0, 1, 2]
    assert [row[4] for row in read(merged)] == ["a,b", "", 'c"', "d"]
    if suffix == ".parquet":
        assert PROVENANCE.encode() in (parquet.read_schema(merged).metadata or {})


def test_tables_of_other_columns_are_not_merged(tmp_path: Path) -> None:
    part = write(tmp_path / "a.csv", [[(1.0, 0, "")]])
    (tmp_path / "b.csv").write_text("number,other\n")
    with pytest.raises(NaiadError, match="another model: number,other"):
        TableWriter.merge(Kinds(), [part, tmp_path / "b.csv"], tmp_path / "c.csv", {})


def test_a_result_that_lacks_a_column_is_named() -> None:
    with pytest.raises(PipelineError, match="the result has no kind, note; it has score"):
        block_of(COLUMNS, {"score": np.zeros(1)}, "unit 0", 0)
    with pytest.raises(PipelineError, match="columns of a result have 1, 2 rows"):
        block_of(COLUMNS, {"score": np.zeros(1), "kind": np.zeros(2), "note": ""}, "unit 0", 0)


def test_a_name_that_is_not_utf_8_does_not_end_the_table(tmp_path: Path) -> None:
    name = b"caf\xe9.jpeg".decode("utf-8", "surrogateescape")
    for suffix in (".csv", ".parquet"):
        writer = TableWriter(Kinds(), tmp_path / f"a{suffix}", COLUMNS, {})
        writer.add(name, None, [(1.0, 0, "x")])
        writer.close()
        assert read(tmp_path / f"a{suffix}")[0][1] == "caf\\udce9.jpeg"
