"""The commands that Naiad prints, run as they are printed."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
from tests.support.command import naiad_serve, shown_when_ready
from tests.support.hints import NAIAD, example_of, run
from tests.support.repositories import monai, packages
from tests.support.triton import FREE, copy_model

import naiad
from naiad import testing
from naiad.application import application, applications


def served() -> list[str]:
    """Return all applications that can be served without a file; tests of bundles run theirs."""
    return [app.name for app in applications() if app.installed() and app.name != "bundle"]


def test_the_example_of_every_application_runs_as_it_is_printed(tmp_path: Path):
    with testing.serve(*served()) as server:
        for model in server.models:
            call = example_of(server, model)
            run(call, tmp_path / model)
            if model in ("nugraph3", "gat_test", "mednist_class", "zero_shot", "products"):
                known = application(model)
                assert known is not None
                assert f"naiad infer {known.name} " in call, call


def test_the_example_of_another_s_model_of_the_same_name_runs_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    needed = packages(tmp_path / "packages", "monai")
    monkeypatch.setenv("PYTHONPATH", str(needed), prepend=":")
    repository, _ = monai(tmp_path / "examples")
    (tmp_path / "image.png").write_bytes(b"no picture")
    with naiad.serve(model_repository=repository, device="cpu", **FREE) as server:
        for model in server.models:
            call = example_of(server, model)
            assert "naiad infer" not in call
            assert model in run(call, tmp_path)[0]
        command = ["infer", "mednist", "image.png", "--url", server.grpc_url]
        done = subprocess.run([*NAIAD, *command], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "the model has no output SCORES, which mednist needs; it has OUTPUT0" in " ".join(
        done.stderr.split()
    )


def test_weights_whose_sizes_the_simulated_data_lack_have_an_example_that_runs(tmp_path: Path):
    (tmp_path / "own.py").write_text(
        "import naiad\n\n\nclass Own(naiad.Pipeline):\n"
        '    name = "image"\n'
        '    inputs = outputs = {"x": naiad.Tensor("float32", ("n", 12))}\n'
        '    arrays = "numpy"\n\n    def forward(self, batch):\n        return {"x": batch["x"]}\n'
    )
    with testing.serve(f"{tmp_path / 'own.py'}:Own") as server:
        call = example_of(server, "image")
        assert "import naiad" in call
        assert "'x'" in run(call, tmp_path)[0]


def test_the_model_that_is_proposed_to_be_loaded_can_be_loaded(tmp_path: Path):
    copy_model(tmp_path / "models", "identity")
    control = ("--model-control-mode", "explicit")
    with naiad_serve("--model-repository", tmp_path / "models", *control) as command:
        shown = shown_when_ready(command)
        (call,) = re.findall(r"^naiad load .+$", shown, re.MULTILINE)
        run(call, tmp_path)
        url = shlex.split(call)[-1]
        with naiad.Client(url) as client:
            assert np.array_equal(client.infer("identity", x=np.ones(2, np.float32))["y"], [1, 1])
        command.send_signal(signal.SIGINT)
        command.communicate(timeout=60)


@pytest.mark.parametrize(
    "words",
    [
        ("export", "simple", "my models"),
        ("new", "molecules"),
        ("gate", "key", "add", "alice", "--file", "my keys.json"),
        ("gate", "certificate", "localhost"),
        ("train", "gat", "--epochs", "1", "-o", "my weights"),
    ],
)
def test_what_was_written_is_served_by_the_command_that_is_printed(
    tmp_path: Path, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    done = subprocess.run([*NAIAD, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = done.stdout + done.stderr
    (call,) = re.findall(r"naiad serve( .+)$", told, re.MULTILINE)
    arguments = shlex.split(call, comments=True)
    if words[0] == "gate":
        arguments.insert(0, "simple")  # instead of everything
    with naiad_serve(*arguments) as command:
        assert "Ctrl-C stops it" in shown_when_ready(command)
        command.send_signal(signal.SIGINT)
        command.communicate(timeout=60)
