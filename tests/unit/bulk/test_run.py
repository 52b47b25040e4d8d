"""A run does every item once, keeps what is done, and says what failed."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.bulk.numbers import Numbers, read_pairs, read_provenance, write_numbers
from tests.unit.client.servers import grpc_server

from naiad.bulk.on_servers import OnServers
from naiad.bulk.run import Summary, run
from naiad.bulk.servers import Servers
from naiad.bulk.settings import Settings
from naiad.console import PlainConsole
from naiad.errors import InvalidInput, NaiadError

QUIET = PlainConsole(quiet=True)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with grpc_server() as (url, _):
        yield url


def settings(
    results: Path, *paths: Path, bulk: Numbers | None = None, chunk: int = 7, force: bool = False
) -> Settings:
    return Settings(
        application="half",
        bulk=bulk or Numbers(),
        paths=paths,
        results=results,
        suffix=".json",
        chunk=chunk,
        force=force,
    )


def processed(url: str, wanted: Settings) -> Summary:
    with Servers([url], "half", concurrency=4) as servers:
        servers.start()
        return run(wanted, OnServers(servers), QUIET)


def test_every_input_gets_a_file_of_its_results_in_order(url: str, tmp_path: Path) -> None:
    one = write_numbers(tmp_path / "in" / "one.txt", range(50))
    two = write_numbers(tmp_path / "in" / "below" / "two.txt", range(100, 103))
    summary = processed(url, settings(tmp_path / "out", tmp_path / "in"))
    assert (summary.inputs, summary.written, summary.failed) == (2, 53, 0)
    assert read_pairs(tmp_path / "out" / "one.json") == [(n, n) for n in range(50)]
    assert read_pairs(tmp_path / "out" / "below" / "two.json") == [(n, n) for n in range(100, 103)]
    assert not list((tmp_path / "out").rglob("parts"))
    about = read_provenance(tmp_path / "out" / "one.json")
    assert (about["input"], about["items"], about["written"]) == (str(one), 50, 50)
    assert about["options"] == {"refused": -1.0, "pause": 0.0}
    assert about["servers"][0]["url"] == f"grpc://{url}"
    assert about["naiad"]
    assert two.exists()


def test_what_is_done_is_not_done_again(url: str, tmp_path: Path) -> None:
    source = write_numbers(tmp_path / "a.txt", range(10))
    processed(url, settings(tmp_path / "out", source))
    with grpc_server() as (other, half):
        summary = processed(other, settings(tmp_path / "out", source))
        assert "ModelInfer" not in half.calls
    assert (summary.before, summary.written) == (1, 10)
    (tmp_path / "out" / "a.json").unlink()
    summary = processed(url, settings(tmp_path / "out", source))
    assert (summary.before, summary.written) == (0, 10)
    assert read_pairs(tmp_path / "out" / "a.json") == [(n, n) for n in range(10)]


def test_bad_items_and_inputs_are_listed_and_the_others_go_on(url: str, tmp_path: Path) -> None:
    mixed = write_numbers(tmp_path / "mixed.txt", [1, "two", 3, 4, -5, 6])
    bad = write_numbers(tmp_path / "bad.txt", ["no", "number"])
    broken = tmp_path / "broken.txt"
    broken.write_bytes(b"\xff\xfe")
    wanted = settings(tmp_path / "out", mixed, bad, broken, bulk=Numbers(refused=4), chunk=2)
    for _ in range(2):  # they are listed by a later run too
        summary = processed(url, wanted)
        assert (summary.written, summary.failed) == (3, 5)
        assert list(summary.unread) == [broken]
        assert summary.report is not None
        with summary.report.open(newline="") as file:
            rows = list(csv.reader(file))
        assert rows[0] == ["file", "number", "name", "reason"]
        assert rows[1][0] == str(broken)
        assert "is no text" in rows[1][3]
        assert rows[2:] == [
            [str(mixed), "1", "line 2", "'two' is no number"],
            [str(mixed), "3", "line 4", "4 is refused"],
            [str(mixed), "4", "line 5", "-5 is no answer"],
            [str(bad), "0", "line 1", "'no' is no number"],
            [str(bad), "1", "line 2", "'number' is no number"],
        ]
    assert [item for item, _ in read_pairs(tmp_path / "out" / "mixed.json")] == [1, 3, 6]
    assert not (tmp_path / "out" / "bad.json").exists()  # there is no result to write
    write_numbers(mixed, [1])
    write_numbers(bad, [2])
    write_numbers(broken, [3])
    summary = processed(url, settings(tmp_path / "out", mixed, bad, broken, force=True))
    assert (summary.written, summary.failed, summary.report) == (3, 0, None)
    assert not (tmp_path / "out" / "failures.csv").exists()


def test_an_empty_input_is_done_at_once(url: str, tmp_path: Path) -> None:
    summary = processed(url, settings(tmp_path / "out", write_numbers(tmp_path / "a.txt", [])))
    assert (summary.inputs, summary.written, summary.failed) == (1, 0, 0)
    assert processed(url, settings(tmp_path / "out", tmp_path / "a.txt")).before == 1


def test_results_of_different_things_do_not_get_into_one_file(url: str, tmp_path: Path) -> None:
    source = write_numbers(tmp_path / "a.txt", range(4))
    processed(url, settings(tmp_path / "out", source))
    with pytest.raises(InvalidInput, match=r"a\.json was begun with options .*--force"):
        processed(url, settings(tmp_path / "out", source, bulk=Numbers(refused=2)))
    write_numbers(source, range(5))
    with pytest.raises(InvalidInput, match="begun with fingerprint '8 bytes'; now it is '10"):
        processed(url, settings(tmp_path / "out", source))
    assert processed(url, settings(tmp_path / "out", source, force=True)).written == 5


def test_nothing_is_overwritten_unasked(url: str, tmp_path: Path) -> None:
    source = write_numbers(tmp_path / "a.txt", range(4))
    theirs = write_numbers(tmp_path / "out" / "a.json", ["precious"])
    with pytest.raises(NaiadError, match=r"a\.json exists; --force overwrites it"):
        processed(url, settings(tmp_path / "out", source))
    assert theirs.read_text() == "precious\n"
    assert processed(url, settings(tmp_path / "out", source, force=True)).written == 4


def test_two_runs_do_not_write_to_one_folder(url: str, tmp_path: Path) -> None:
    from naiad.bulk.journal import sole_writer

    source = write_numbers(tmp_path / "a.txt", range(4))
    with (
        sole_writer(tmp_path / "out" / ".naiad"),
        pytest.raises(NaiadError, match="another run is writing to"),
    ):
        processed(url, settings(tmp_path / "out", source))
    assert processed(url, settings(tmp_path / "out", source)).written == 4


def test_a_run_that_cannot_go_on_keeps_what_is_done(tmp_path: Path) -> None:
    source = write_numbers(tmp_path / "a.txt", range(30))

    class Full(Numbers):
        def writer(self, path: Path, metadata: object) -> object:  # pyright: ignore
            if path.name.startswith(".0000002"):
                raise OSError(28, "No space left on device")
            return super().writer(path, {})

    with grpc_server() as (url, half):
        with pytest.raises(NaiadError, match=r"No space left.*run the same command to resume"):
            processed(url, settings(tmp_path / "out", source, bulk=Full()))
        half.calls.clear()
        processed(url, settings(tmp_path / "out", source))
        assert half.calls.count("ModelInfer") == 16  # all but two chunks of 7
    assert read_pairs(tmp_path / "out" / "a.json") == [(n, n) for n in range(30)]


def test_the_size_of_chunks_may_change_between_runs(url: str, tmp_path: Path) -> None:
    source = write_numbers(tmp_path / "a.txt", range(20))
    processed(url, settings(tmp_path / "out", source, chunk=3))
    (tmp_path / "out" / "a.json").unlink()
    assert processed(url, settings(tmp_path / "out", source, chunk=8)).written == 20
    assert read_pairs(tmp_path / "out" / "a.json") == [(n, n) for n in range(20)]
