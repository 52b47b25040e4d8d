"""The files and refusals of ``naiad deploy``."""

from __future__ import annotations

import json
from pathlib import Path

import yaml
from typer.testing import CliRunner

from naiad.cli.main import app
from naiad.errors import NaiadError


def run(*words: str) -> tuple[int, str, BaseException | None]:
    result = CliRunner().invoke(app, ["deploy", *words])
    return result.exit_code, result.output, result.exception


def test_a_chart_and_values_are_written_and_how_to_install_them_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    code, shown, _ = run("kubernetes", "gat", "-o", str(folder), "--max-replicas", "5")
    assert code == 0
    assert {path.name for path in folder.iterdir()} == {"chart", "values.yaml", "supersonic.yaml"}
    assert f"helm upgrade --install naiad '{folder}/chart' --values '{folder}/values.yaml'" in shown
    values = yaml.safe_load((folder / "values.yaml").read_text())
    assert values["pipelines"] == ["gat"]
    assert values["autoscaling"]["maxReplicas"] == 5


def test_what_is_there_is_kept_unless_it_may_be_overwritten(tmp_path: Path) -> None:
    (tmp_path / "values.yaml").write_text("mine: 1")
    command = ("kubernetes", "gat", "-o", str(tmp_path))
    _, _, error = run(*command)
    assert isinstance(error, NaiadError)
    assert "--force overwrites it" in str(error)
    assert (tmp_path / "values.yaml").read_text() == "mine: 1"
    assert run(*command, "--force")[0] == 0
    assert run(*command, "--force")[0] == 0
    assert "mine" not in (tmp_path / "values.yaml").read_text()


def test_a_bad_setting_writes_nothing(tmp_path: Path) -> None:
    _, _, error = run("kubernetes", "nugraph", "-o", str(tmp_path / "k"))
    assert "no pipeline 'nugraph'" in str(error)
    assert not (tmp_path / "k").exists()


def test_a_repository_that_supersonic_cannot_have_is_said(tmp_path: Path) -> None:
    code, shown, _ = run("kubernetes", "--repository", "s3://b/m", "-o", str(tmp_path / "k"))
    assert code == 0
    assert "no supersonic.yaml" in shown


def test_the_dashboard_is_written(tmp_path: Path) -> None:
    path = tmp_path / "naiad.json"
    assert run("dashboard", str(path))[0] == 0
    assert json.loads(path.read_text())["uid"] == "naiad"
    assert isinstance(run("dashboard", str(path))[2], NaiadError)
