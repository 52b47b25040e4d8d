"""Files of an answer to download."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import parquet

from naiad.applications.movies.picks import Pick, Why
from naiad.applications.movies.task import Answer as Films
from naiad.applications.movies.task import MoviesSimilar
from naiad.client import Client
from naiad.errors import InvalidInput
from naiad.tasks.calls import Answer, TaskCall
from naiad.ui.downloads import TABLES, Folder, write_table


@pytest.fixture
def call() -> Any:
    with Client("localhost:1") as client:  # never asked
        call = TaskCall(client, MoviesSimilar, "movies_similar")
        call.asked._card = {}
        yield call


@pytest.mark.parametrize("suffix", TABLES)
def test_each_format_has_the_rows_of_the_answers(
    call: TaskCall, suffix: str, tmp_path: Path
) -> None:
    films = Films([Pick("1", "Amélie", 2001, 0.5, Why()), Pick("2", "M", 0, 0.25, Why())], "", "")
    path = Path("-")
    answers = [
        Answer("a", path, 0, films, None, "a"),
        Answer("b", path, 1, error=InvalidInput("no")),
    ]
    options = call.options({})
    rows = call.rows(answers[0], options)
    written = write_table(call, answers, options, rows, tmp_path / f"films{suffix}")
    assert written is not None
    if suffix == ".csv":
        with written.open(newline="", encoding="utf-8") as file:
            found = [(row["title"], row["year"]) for row in csv.DictReader(file)]
        assert found == [("Amélie", "2001"), ("M", "")]
    elif suffix == ".parquet":
        table = parquet.read_table(written)
        assert table["title"].to_pylist() == ["Amélie", "M"]
        assert table["score"].to_pylist() == [0.5, 0.25]
    else:
        with np.load(written) as arrays:
            assert arrays["title"].tolist() == ["Amélie", "M"]
            np.testing.assert_array_equal(arrays["year"], [2001, np.nan])


def test_the_folder_is_deleted_with_the_last_reference() -> None:
    folder = Folder()
    path = folder.path
    (path / "a.csv").touch()
    assert path.stat().st_mode & 0o077 == 0
    del folder
    assert not path.exists()
