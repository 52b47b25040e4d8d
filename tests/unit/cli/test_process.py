"""``naiad process``: its commands are made from what applications declare."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.unit.applications.nugraph.served import make_event, nugraph3_server
from typer.testing import CliRunner, Result

from naiad.applications.nugraph.events import write_events
from naiad.applications.nugraph.result_files import read_results
from naiad.bulk.merging import read_provenance
from naiad.cli.main import app
from naiad.errors import Unavailable


def process(*words: object) -> Result:
    return CliRunner().invoke(app, ["process", *map(str, words)], env={"COLUMNS": "200"})


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """Ten events with 0 to 9 hits and the numbers 0 to 9."""
    path = tmp_path / "in" / "events.h5"
    write_events(path, (make_event([n % 3] * n, event=n) for n in range(10)))
    return path


def test_an_application_without_files_has_no_command() -> None:
    assert process("simple", "--help").exit_code == 2


def test_help_shows_the_applications_own_options() -> None:
    text = re.sub(r"\s+", " ", process("nugraph3", "--help").output)
    assert "--strict" in text
    assert "Refuse events whose spacepoints name unknown hits." in text
    assert "naiad process nugraph3 events/*.h5" in text


def test_events_are_processed_and_the_pace_is_told(events: Path, tmp_path: Path) -> None:
    with nugraph3_server() as (url, _):
        result = process("nugraph3", events, "-o", tmp_path / "out", "--server", url, "--strict")
    assert result.exit_code == 0, result.output
    assert "10 events of 1 input are in" in result.output
    assert "events per second" in result.output
    found = list(read_results(tmp_path / "out" / "events.h5"))
    assert [len(r.hits) for r in found] == list(range(10))
    about = read_provenance(tmp_path / "out" / "events.h5")
    assert about is not None
    assert about["options"] == {"strict": True}


def test_what_fails_is_listed_and_the_status_is_1(events: Path, tmp_path: Path) -> None:
    with nugraph3_server(refuse=frozenset({4})) as (url, _):
        words = ("nugraph3", events.parent, "-o", tmp_path / "out", "--format", "parquet")
        result = process(*words, "--server", url)
    assert result.exit_code == 1
    assert "1 event failed" in result.output
    assert [r.event for r in read_results(tmp_path / "out" / "events.parquet")] == [
        n for n in range(10) if n != 4
    ]
    assert ',4,"run ' in (tmp_path / "out" / "failures.csv").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--local", "--server", "a:1"], "give either --local or --server"),
        (["--engine", "ray", "--local"], "--engine ray runs without a server"),
        (["--weights", "w"], "--weights requires --local or --engine ray"),
        (["--actors", "2"], "--actors and --device require --engine ray"),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    events: Path, tmp_path: Path, words: list[str], message: str
) -> None:
    result = process("nugraph3", events, "-o", tmp_path / "out", *words)
    assert result.exit_code == 2
    assert message in re.sub(r"[\s│]+", " ", result.output)
    assert not (tmp_path / "out").exists()


def test_without_a_server_it_says_how_to_start_one(events: Path, tmp_path: Path) -> None:
    result = process("nugraph3", events, "-o", tmp_path / "out", "--server", "127.0.0.1:9")
    assert isinstance(result.exception, Unavailable)
    assert "`naiad serve nugraph3`, or add --local" in str(result.exception)
    assert not (tmp_path / "out").exists()
