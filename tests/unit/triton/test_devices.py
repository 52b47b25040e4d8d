"""Models that ask for a GPU, on machines with and without one."""

from __future__ import annotations

from pathlib import Path

import pytest

from naiad.triton import devices
from naiad.triton.devices import device_problem, move_to_cpu
from naiad.triton.model_config import ModelConfig, read_model_config

GPU = "instance_group { kind: KIND_GPU count: 2 gpus: [0, 1] }"


def config(folder: Path, text: str) -> ModelConfig:
    (folder / "config.pbtxt").write_text(f'backend: "python"\n{text}')
    return read_model_config(folder)


@pytest.mark.parametrize("gpu", [False, True])
def test_a_gpu_that_is_asked_for_must_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpu: bool
):
    monkeypatch.setattr(devices, "has_gpu", lambda: gpu)
    problem = device_problem(config(tmp_path, GPU))
    assert bool(problem) is not gpu
    if problem:
        assert problem.startswith("config.pbtxt: instance_group[0].kind is KIND_GPU")
    assert device_problem(config(tmp_path, "instance_group { kind: KIND_CPU }")) == ""


@pytest.mark.parametrize(
    ("text", "gpu", "moved"),
    [
        (GPU, False, True),
        (GPU, True, True),
        ("instance_group { kind: KIND_CPU }", True, False),
        ("instance_group { kind: KIND_MODEL }", True, False),
        ("instance_group { count: 1 }", False, False),
        ("instance_group { count: 1 }", True, True),
        ("", False, False),
        ("", True, True),
        ("ensemble_scheduling { }", True, False),
    ],
)
def test_what_would_run_on_a_gpu_is_moved_to_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, gpu: bool, moved: bool
):
    monkeypatch.setattr(devices, "has_gpu", lambda: gpu)
    message = config(tmp_path, text).message
    assert move_to_cpu(message) is moved
    if moved:
        (group,) = message.instance_group
        assert (group.kind, list(group.gpus)) == (group.KIND_CPU, [])
        assert group.count == (2 if text == GPU else group.count)
