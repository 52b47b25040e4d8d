"""Graphs, networks and runs of the pipeline for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from naiad.applications.gat.card import Architecture, GatCard
from naiad.applications.gat.model import GatNet
from naiad.applications.gat.pipeline import Gat
from naiad.applications.gat.schema import FEATURES, INPUTS, OUTPUTS
from naiad.core.merging import collate, split
from naiad.core.pipeline import Request
from naiad.core.schema import validate

TOPICS = tuple("abcdefg")


def random_net(architecture: Architecture | None = None, seed: int = 0) -> GatNet:
    net = GatNet(architecture or Architecture())
    generator = torch.Generator().manual_seed(seed)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.2, generator=generator)
    return net.eval()


def random_graph(nodes: int, edges: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Make a request like the public example's client: any numbers, any edges, loops too."""
    rng = np.random.default_rng(seed)
    return {
        "x__0": rng.normal(size=(nodes, FEATURES)).astype(np.float32),
        "edgeindex__1": rng.integers(0, max(1, nodes), (2, edges)),
    }


def save(folder: Path, net: GatNet | None = None, **changes: Any) -> Path:
    values: dict[str, Any] = {
        "architecture": Architecture(),
        "classes": TOPICS,
        "trained_on": "nothing",
        "notice": "for tests",
    }
    GatCard(**{**values, **changes}).save_with(net or random_net(), folder)
    return folder


def run(pipeline: Gat, *requests: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Call all hooks on a merged batch, as the runtime does."""
    sizes = [validate(INPUTS, request) for request in requests]
    samples = [
        pipeline.prepare(Request(request, size))
        for request, size in zip(requests, sizes, strict=True)
    ]
    batch = collate(INPUTS, samples, sizes)
    with torch.inference_mode():
        result = {k: v.numpy() for k, v in pipeline.forward(batch.torch("cpu")).items()}
    dims = {dim: batch.sizes(dim) for dim in ("nodes", "edges")}
    shares = split(OUTPUTS, result, dims, batch.requests)
    return [pipeline.finish(share)["logits__0"] for share in shares]
