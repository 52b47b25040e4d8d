"""The devices that a repository's models ask for, and the CPU in their place."""

from __future__ import annotations

from typing import Any

from naiad.triton.engine import has_gpu
from naiad.triton.model_config import CONFIG, ModelConfig


def device_problem(config: ModelConfig) -> str:
    """Return why a model cannot run on this machine's devices, and the remedy; "" if it can."""
    for number, group in enumerate(config.message.instance_group):
        if group.kind == group.KIND_GPU and not has_gpu():
            return (
                f"{CONFIG}: instance_group[{number}].kind is KIND_GPU, but no GPU was found; "
                f"--device cpu serves the model on the CPU, or set KIND_CPU"
            )
    return ""


def move_to_cpu(message: Any) -> bool:
    """Change a ``ModelConfig`` to run on the CPU; return False if it does so already.

    Groups of ``KIND_AUTO``, and models without a group, run on a GPU only where there is one.
    ``KIND_MODEL`` leaves the device to the model, and stays.
    """
    if message.platform == "ensemble" or message.HasField("ensemble_scheduling"):
        return False
    groups = message.instance_group
    if not groups and has_gpu():
        group = groups.add()
        group.kind = group.KIND_CPU
        return True
    moved = False
    for group in groups:
        automatic = group.kind == group.KIND_AUTO and has_gpu()
        if group.kind == group.KIND_GPU or automatic:
            group.kind = group.KIND_CPU
            del group.gpus[:]
            moved = True
    return moved
