"""``naiad codegen cpp`` writes a header, to a file or to standard output."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner, Result

from naiad.cli.main import app
from naiad.errors import NaiadError


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["codegen", "cpp", *map(str, arguments)])


def test_to_a_file_and_to_standard_output_it_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "new" / "simple.hpp"
    written = run("simple", "-o", path)
    assert written.exit_code == 0, written.output
    assert f"wrote {path}" in written.output.replace("\n", "")
    assert run("simple").output == path.read_text()
    assert "struct SimpleInput {" in path.read_text()


def test_a_file_that_exists_is_kept_unless_force_is_given(tmp_path: Path) -> None:
    path = tmp_path / "simple.hpp"
    path.write_text("mine")
    refused = run("simple", "-o", path)
    assert isinstance(refused.exception, NaiadError)
    assert path.read_text() == "mine"
    assert run("simple", "-o", path, "--force").exit_code == 0
    assert "SimpleInput" in path.read_text()


def test_a_name_that_is_no_pipeline_is_refused(tmp_path: Path) -> None:
    refused = run("nugraph9", "-o", tmp_path / "x.hpp")
    assert "no pipeline 'nugraph9'" in str(refused.exception)
    assert not (tmp_path / "x.hpp").exists()
