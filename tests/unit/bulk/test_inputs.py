"""Inputs are found, named and cut into chunks; what cannot be done is said before anything is."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.bulk.numbers import Numbers, write_numbers

from naiad.bulk.inputs import Input, chunks_of, find_inputs
from naiad.bulk.settings import Settings
from naiad.errors import InvalidInput


def outputs(results: Path, *paths: Path) -> dict[str, str]:
    """Names of the outputs below the folder of results, by the names of the inputs."""
    settings = Settings(
        application="half", bulk=Numbers(), paths=paths, results=results, suffix=".json", chunk=2
    )
    return {
        t.path.name: str(t.output.relative_to(results.resolve())) for t in find_inputs(settings)
    }


def test_results_are_named_for_their_inputs(tmp_path: Path) -> None:
    for name in ("a.txt", "b.v2.txt", "run1/c.txt", "run1/more/d.txt"):
        write_numbers(tmp_path / "in" / name, [1])
    assert outputs(tmp_path / "out", tmp_path / "in") == {
        "a.txt": "a.json",
        "b.v2.txt": "b.v2.json",
        "c.txt": "run1/c.json",
        "d.txt": "run1/more/d.json",
    }
    given = (tmp_path / "in" / "run1" / "c.txt", tmp_path / "in" / "a.txt")
    assert outputs(tmp_path / "out", *given) == {"c.txt": "c.json", "a.txt": "a.json"}


def test_a_file_given_twice_is_done_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_numbers(tmp_path / "a.txt", [1])
    monkeypatch.chdir(tmp_path)
    assert len(outputs(Path("out"), Path("a.txt"), tmp_path / "a.txt", Path("./a.txt"))) == 1


def test_a_link_is_processed_under_its_own_name(tmp_path: Path) -> None:
    write_numbers(tmp_path / "store" / "0815.txt", [1])
    (tmp_path / "run7.txt").symlink_to(tmp_path / "store" / "0815.txt")
    assert outputs(tmp_path / "out", tmp_path / "run7.txt") == {"run7.txt": "run7.json"}


def test_two_inputs_with_one_output_are_refused(tmp_path: Path) -> None:
    first = write_numbers(tmp_path / "run1" / "a.txt", [1])
    second = write_numbers(tmp_path / "run2" / "a.txt", [1])
    with pytest.raises(InvalidInput, match=r"would both be written to .*out/a\.json"):
        outputs(tmp_path / "out", first, second)
    # The folder above both keeps them apart.
    assert len(set(outputs(tmp_path / "out", tmp_path).values())) == 1


def test_an_input_is_not_overwritten(tmp_path: Path) -> None:
    path = write_numbers(tmp_path / "a.json", [1])
    with pytest.raises(InvalidInput, match=r"a\.json would be overwritten; .* -o"):
        outputs(tmp_path, path)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"gone\.txt: no such file or folder"):
        outputs(tmp_path / "out", tmp_path / "gone.txt")


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"format '.csv': results are written as \.json"):
        Settings(application="half", bulk=Numbers(), paths=(), results=tmp_path, suffix=".csv")
    with pytest.raises(InvalidInput, match="chunk is 0; it must be 1 to"):
        Settings(
            application="h", bulk=Numbers(), paths=(), results=tmp_path, suffix=".json", chunk=0
        )


@given(items=st.integers(0, 200), size=st.integers(1, 50))
def test_chunks_have_every_item_once_and_in_order(items: int, size: int) -> None:
    target = Input(Path("/in/a.txt"), Path("/out/a.json"), Path("/out/.naiad/a.json"))
    chunks = list(chunks_of(target, items, size, ".json"))
    assert [n for c in chunks for n in range(c.first, c.stop)] == list(range(items))
    assert [c.number for c in chunks] == list(range(len(chunks)))
    assert len({c.part for c in chunks} | {c.record for c in chunks}) == 2 * len(chunks)
