"""``naiad new`` writes a pipeline that works unchanged."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from naiad.cli import new
from naiad.cli.main import app
from naiad.core.pipeline import load_pipeline


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["new", *map(str, arguments)])


def test_it_writes_a_pipeline_and_its_test_and_says_what_to_do_next(tmp_path: Path) -> None:
    result = run("track_finder", "--directory", tmp_path / "models")
    assert result.exit_code == 0, result.output
    assert sorted(p.name for p in (tmp_path / "models").iterdir()) == [
        "test_track_finder.py",
        "track_finder.py",
    ]
    pipeline = load_pipeline(f"{tmp_path}/models/track_finder.py:TrackFinder")
    assert pipeline.name == "track_finder"
    assert f"pytest {tmp_path}/models/test_track_finder.py" in result.output
    assert f"naiad serve {tmp_path}/models/track_finder.py:TrackFinder" in result.output


def test_nothing_of_the_template_name_is_left(tmp_path: Path) -> None:
    assert run("gat2", "-d", tmp_path).exit_code == 0
    for path in tmp_path.iterdir():
        text = path.read_text()
        assert "MyModel" not in text
        assert "my_model" not in text


@pytest.mark.slow
def test_the_written_pipeline_passes_its_own_in_process_tests(tmp_path: Path) -> None:
    assert run("my_model", "-d", tmp_path).exit_code == 0
    outcome = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-k", "not server and not edge"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stdout
    assert "2 passed" in outcome.stdout


@pytest.mark.parametrize("name", ["MyModel", "my-model", "2d", "_x", "a__b", "über", "class", ""])
def test_a_name_that_no_model_can_have_is_refused(name: str, tmp_path: Path) -> None:
    result = run("-d", tmp_path, "--", name)
    assert result.exit_code == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["torch", "json", "naiad", "network", "mapping"])
def test_a_name_that_would_hide_what_the_pipeline_uses_is_refused(
    name: str, tmp_path: Path
) -> None:
    result = run(name, "-d", tmp_path)
    assert result.exit_code == 2
    assert "choose another" in result.output
    assert not list(tmp_path.iterdir())


def test_every_class_name_that_the_template_uses_is_refused() -> None:
    source = (files("naiad.cli") / "templates" / "my_model.py").read_text("utf-8")
    tree = ast.parse(source)
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    used |= {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    # NDArray is out of reach: each part of a model's name becomes one capital.
    assert {
        name for name in used if name[0].isupper() and not name.isupper() and name != "NDArray"
    } - {"MyModel"} == new.TAKEN_CLASSES


def test_existing_files_are_kept_unless_forced(tmp_path: Path) -> None:
    written = tmp_path / "my_model.py"
    written.write_text("mine")
    result = run("my_model", "-d", tmp_path)
    assert result.exit_code == 1
    assert f"{written} exists" in str(result.exception)
    assert written.read_text() == "mine"
    assert not (tmp_path / "test_my_model.py").exists()

    assert run("my_model", "-d", tmp_path, "--force").exit_code == 0
    assert "class MyModel" in written.read_text()
