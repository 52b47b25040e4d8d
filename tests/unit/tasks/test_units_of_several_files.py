"""Units of several files come in order, are named after the first, and are never split."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.golden.served import serving
from tests.unit.tasks import pairs
from typer.testing import CliRunner, Result

from naiad import export
from naiad.cli.main import app
from naiad.errors import InvalidInput

SPEC = f"{Path(pairs.__file__)}:PairsTask"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("models")
    models = [export(kind, folder, portable=False) for kind in (pairs.Pairs, pairs.Renamed)]
    with serving(*models) as url:
        yield url


@pytest.fixture(autouse=True)
def texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.1.txt", "b.txt", "x/c.txt", "x/d.txt", "y/c.txt", "y/d.txt"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(Path(name).stem)


def infer(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["infer", SPEC, *arguments, "--url", url])


def written(folder: str) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file()
    }


def test_results_are_named_for_the_first_file_of_each(url: str) -> None:
    result = infer(url, "a.1.txt", "b.txt", "x", "-o", "out", "--plot", "drawn")
    assert result.exit_code == 0, result.output
    assert written("out") == {
        "a.1.csv": 'files,joined,output\n"a.1.txt, b.txt",a.1+b,a.1_joined.txt\n',
        "a.1_joined.txt": "a.1+b",
        "c.csv": 'files,joined,output\n"x/c.txt, x/d.txt",c+d,c_joined.txt\n',
        "c_joined.txt": "c+d",
    }
    assert sorted(written("drawn").values()) == ["a.1 and b", "c and d"]
    assert "wrote 2 pairs to out" in result.output


def test_equal_names_are_written_below_the_folder_above_them(url: str) -> None:
    result = infer(url, "x/c.txt", "x/d.txt", "y/c.txt", "y/d.txt", "-o", "out")
    assert result.exit_code == 0, result.output
    assert {*written("out")} == {f"{x}/c{end}" for x in "xy" for end in (".csv", "_joined.txt")}
    assert written("out")["y/c.csv"].endswith(",c+d,y/c_joined.txt\n")


def test_pictures_are_below_the_folders_of_their_inputs(url: str) -> None:
    result = infer(url, ".", "--plot", "drawn")
    assert result.exit_code == 0, result.output
    names = ("00000-a.1", "x/00001-c", "y/00002-c")
    assert {*written("drawn")} == {f"{name}.png" for name in names}


def test_no_result_overwrites_an_input_even_by_force(url: str) -> None:
    Path("b_joined.txt").write_text("mine")
    given = ("b.txt", "b_joined.txt", "x/c.txt", "x/d.txt")
    result = infer(url, *given, "-o", ".", "--force")
    assert result.exit_code == 1
    assert "b_joined.txt is an input, or of another one; write elsewhere" in result.output
    assert "1 of 2 pairs failed" in result.output
    assert Path("b_joined.txt").read_text() == "mine"
    assert Path("c_joined.txt").read_text() == "c+d"


def test_a_file_that_is_missing_takes_its_whole_unit_with_it(url: str) -> None:
    result = infer(url, "b.txt", "gone.txt", "x", "-o", "out.csv")
    assert result.exit_code == 1
    assert "gone.txt: cannot be read: No such file or directory" in result.output
    assert "1 of 2 pairs failed" in result.output
    assert Path("out.csv").read_text() == 'files,joined\n"x/c.txt, x/d.txt",c+d\n'


def test_a_file_too_few_is_found_before_anything_is_asked(url: str) -> None:
    result = infer(url, "b.txt", "x", "-o", "out")
    assert isinstance(result.exception, InvalidInput)
    assert str(result.exception) == (
        "3 files were given; the model needs 2 for each of the pairs, in this order: left, right"
    )
    assert not Path("out").exists()


def test_a_model_is_asked_by_its_name_on_the_server(url: str) -> None:
    result = infer(url, "b.txt", "a.1.txt", "--model", "renamed")
    assert result.exit_code == 0, result.output
    assert "b-a.1" in result.output
