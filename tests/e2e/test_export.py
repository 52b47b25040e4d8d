"""`naiad export` and its check, as commands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from naiad import testing
from naiad.native.library import LIBRARY

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


def test_a_valid_repository_passes_its_check(repository):
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


def test_an_unknown_pipeline_lists_the_known_ones(tmp_path):
    done = naiad_command("export", "nugraf", tmp_path)
    assert done.returncode == 1
    assert "no pipeline 'nugraf'; built in are: bundle, covid_ct" in done.stderr


def test_a_folder_that_an_older_naiad_exported_is_served(tmp_path):
    """Its config names Triton's Python backend, its model.py a module that no longer exists."""
    repository = tmp_path / "models"
    assert naiad_command("export", "simple", repository).returncode == 0
    (config,) = repository.glob("*/config.pbtxt")
    text = config.read_text().replace('backend: "naiad"', 'backend: "python"')
    assert 'backend: "python"' in text
    config.write_text(text)
    version = config.parent / "1"
    (version / LIBRARY).unlink()
    (version / "model.py").write_text("from naiad.triton.adapter import triton_model\n")
    with testing.serve(model_repository=repository) as server:
        ones = np.ones((1, 16), np.int32)
        answer = server.client().infer("simple", INPUT0=ones, INPUT1=ones)
    assert (answer["OUTPUT0"] == 2).all()


PEAKS = """
from dataclasses import dataclass

import naiad
from naiad import Tensor


@dataclass(frozen=True)
class Options:
    threshold: float = 0.5


class Peaks(naiad.Pipeline):
    inputs = {"x": Tensor("float32", ("samples",))}
    outputs = {"found": Tensor("bool", ("samples",))}
    arrays = "numpy"
    settings = Options()

    def forward(self, batch):
        return {"found": batch["x"] > self.settings.threshold}
"""


def test_the_users_settings_survive_the_export(tmp_path):
    source, folder = tmp_path / "peaks.py", tmp_path / "models"
    source.write_text(PEAKS)
    pipeline = f"{source}:Peaks"
    done = naiad_command("export", pipeline, folder, "--instances", 1, "--set", "threshold=0.7")
    assert done.returncode == 0, done.stderr
    wrong = naiad_command("export", pipeline, folder, "--set", "treshold=0.7")
    assert wrong.returncode == 1
    assert "did you mean threshold?" in wrong.stderr
    source.unlink()
    with testing.serve(model_repository=folder) as server:
        answer = server.client().infer("peaks", x=np.array([0.6, 0.8], np.float32))
    assert answer["found"].tolist() == [False, True]
