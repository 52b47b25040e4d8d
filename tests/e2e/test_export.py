"""`naiad export` and its check, as commands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PIPELINES = Path(__file__).parents[1] / "unit" / "runtime" / "degree.py"


def naiad_command(*arguments):
    return subprocess.run(
        [Path(sys.executable).with_name("naiad"), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "models"
    done = naiad_command("export", f"{PIPELINES}:Degree", folder, "--instances", 1)
    assert done.returncode == 0, done.stderr
    assert "config.pbtxt" in done.stdout
    return folder


def test_a_repository_that_is_right_passes_its_check(repository):
    done = naiad_command("export", "--check", repository)
    assert done.returncode == 0, done.stderr
    assert "1 model(s) load and answer" in done.stdout
    assert "total" in done.stdout


def test_a_model_that_does_not_load_is_named_with_its_reason(repository, tmp_path):
    folder = tmp_path / "models"
    assert naiad_command("export", f"{PIPELINES}:Broken", folder).returncode == 0
    done = naiad_command("export", "--check", folder)
    assert done.returncode == 1
    assert "broken" in done.stderr
    assert "no weights today" in done.stderr


def test_a_folder_without_models_is_named(tmp_path):
    done = naiad_command("export", "--check", tmp_path)
    assert done.returncode == 1
    assert f"{tmp_path} holds no model" in done.stderr.replace("\n", "")


def test_an_unknown_pipeline_lists_those_there_are(tmp_path):
    done = naiad_command("export", "nugraf", tmp_path)
    assert done.returncode == 1
    assert "no pipeline 'nugraf'; built in are: nugraph3" in done.stderr
