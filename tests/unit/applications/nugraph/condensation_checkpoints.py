"""Checkpoints of NuGraph3 of 2026 with other heads, and small events, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from naiad.applications.nugraph.condensation.card import HEADS, Architecture
from naiad.applications.nugraph.condensation.model import CondensationNet
from naiad.core.schema import Array

GOLDENS = {
    "golden_small": "random",
    "golden_small_tpc": "random",
    "golden_gen1_small": "random_gen1",
}
"""Reference answers, and the checkpoint that gave each."""

SMALL = Architecture(
    hit_features=8,
    nexus_features=4,
    interaction_features=4,
    instance_features=3,
    num_iters=2,
    semantic_classes=7,
    event_classes=2,
)


def read(path: Path) -> dict[str, Any]:
    """Read a checkpoint."""
    return torch.load(path, weights_only=True)


def with_heads(checkpoint: dict[str, Any], heads: tuple[str, ...]) -> dict[str, Any]:
    """Return a checkpoint as if it had been trained with these heads alone."""
    dropped = tuple(f"{head}_decoder." for head in HEADS if head not in heads)
    values = {**checkpoint["hyper_parameters"]}
    values |= {f"{head}_head": head in heads for head in HEADS}
    if "event" not in heads:
        values["event_classes"] = None
    state = {k: v for k, v in checkpoint["state_dict"].items() if not k.startswith(dropped)}
    return {**checkpoint, "hyper_parameters": values, "state_dict": state}


def small_checkpoint(
    architecture: Architecture = SMALL, heads: tuple[str, ...] = HEADS
) -> dict[str, Any]:
    """Return a checkpoint of a small untrained network."""
    torch.manual_seed(3)
    state = dict(CondensationNet(architecture, heads).state_dict())
    state |= {f"{head}_decoder.temp": torch.zeros(()) for head in heads}
    features = architecture.in_features
    norm = "encoder.input_norm.norm"
    state |= {
        f"{norm}.mean": torch.linspace(0, 100, features),
        f"{norm}.var": torch.linspace(1, 1e4, features),
        f"{norm}.count": torch.tensor([7]),
    }
    names = ("in_features", "hit_features", "nexus_features", "interaction_features")
    values = {name: getattr(architecture, name) for name in (*names, "instance_features")}
    values |= {f"{head}_head": head in heads for head in HEADS}
    values |= {
        "planes": ("u", "v", "y"),
        "semantic_classes": tuple(f"s{n}" for n in range(architecture.semantic_classes)),
        "event_classes": tuple(f"e{n}" for n in range(architecture.event_classes)) or None,
        "num_iters": architecture.num_iters,
    }
    return {"state_dict": state, "hyper_parameters": values, "epoch": 4}


def save(checkpoint: dict[str, Any], path: Path) -> Path:
    """Write a checkpoint as Lightning does."""
    torch.save(checkpoint, path)
    return path


def golden(shared: Path, name: str) -> dict[str, Array]:
    """Return a reference: the event as ``in_*``, its graph, and the network's answer."""
    with np.load(shared / "nugraph3_2026" / f"{name}.npz") as file:
        return dict(file)


def golden_event(reference: dict[str, Array]) -> dict[str, Array]:
    """Return the request of a reference."""
    return {k.removeprefix("in_"): v for k, v in reference.items() if k.startswith("in_")}


def expected(reference: dict[str, Array]) -> dict[str, Array]:
    """Return the answer of a reference as it is served."""
    served = {"e_evt": reference["out_e_logits"], "v_evt": reference["out_v"]}
    rows = {p: np.flatnonzero(reference["graph_plane"] == n) for n, p in enumerate("uvy")}
    for name, found in {
        "x_semantic": "x_semantic_logits",
        **{same: same for same in ("x_filter", "of", "ox", "i", "x_position")},
    }.items():
        served |= {f"{name}_{p}": reference[f"out_{found}"][at] for p, at in rows.items()}
    return served


def assert_equal(got: dict[str, Array], wanted: dict[str, Array], slack: float = 1.0) -> None:
    """Compare answers within the tolerances of the specification; particles exactly."""
    for name, array in wanted.items():
        assert got[name].shape == array.shape, name
        if name.startswith("i_"):
            assert got[name].dtype == np.int32
            np.testing.assert_array_equal(got[name], array, err_msg=name)
        else:
            assert got[name].dtype == np.float32
            raw = name.startswith(("e_evt", "x_semantic"))
            np.testing.assert_allclose(
                got[name], array, atol=slack * (5e-5 if raw else 1e-5), rtol=0, err_msg=name
            )
