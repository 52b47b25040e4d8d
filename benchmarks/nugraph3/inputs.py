"""Requests and weights that both sides share."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Literal

import torch

from naiad.applications.nugraph.card import Normalisation, NuGraph3Card
from naiad.applications.nugraph.model import NuGraph3Net
from naiad.applications.nugraph.simulate import simulate
from naiad.applications.nugraph.weights import UBOONE_NORMALISATION, import_checkpoint, save_weights
from naiad.core.schema import Arrays
from naiad.weights import read_json

Size = Literal["small", "large"]
SIZES: tuple[Size, ...] = ("small", "large")

_SEED = 1
_HITS = {"small": (160, 240), "large": (1_150, 1_450)}
_SPACEPOINTS = {"small": (0, 160), "large": (1_100, 1_700)}
_GAIN = 2.4


@dataclass(frozen=True, slots=True)
class Events:
    """Simulated events of one size; the medians of their hits and spacepoints, for the report."""

    size: Size
    requests: tuple[Arrays, ...]

    def median(self, tensor: str) -> int:
        """Lengths of tensors."""
        return sorted(len(request[tensor]) for request in self.requests)[len(self.requests) // 2]


def simulated(size: Size, number: int) -> Events:
    """Simulate events near the usual sizes: 200 hits, or 1,300 hits and 1,400 spacepoints.

    The simulator's own range of sizes, as in physics, is much wider.
    """

    def fits(event: Arrays) -> bool:
        (fewest, most), (low, high) = _HITS[size], _SPACEPOINTS[size]
        points = len(event["spacepoint_table_spacepoint_id"])
        return fewest <= len(event["hit_table_hit_id"]) <= most and low <= points <= high

    # Each number gives its own event, so no more are simulated than needed.
    seeds = (_SEED + offset for offset in count())
    found = (event.arrays() for seed in seeds for event in simulate(8, seed, size=size))
    return Events(size, tuple(islice(filter(fits, found), number)))


def make_weights(folder: Path, checkpoint: Path | None = None) -> str:
    """Write weights to ``folder``; return their description.

    By default they are random, with the sizes of the public checkpoint: the time does not depend on
    their values. Torch's default weights are scaled up until answers differ between events as much
    as those of a trained network.
    """
    if checkpoint is not None:
        import_checkpoint(checkpoint, folder)
        return f"weights of {checkpoint.name}"
    torch.manual_seed(_SEED)
    net = NuGraph3Net()
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.ndim == 2:
                parameter *= _GAIN
    constants = read_json(UBOONE_NORMALISATION, Normalisation)
    sizes = net.arch
    card = NuGraph3Card(
        architecture=sizes,
        semantic_classes=tuple(f"class {i}" for i in range(sizes.semantic_classes)),
        event_classes=tuple(f"class {i}" for i in range(sizes.event_classes)),
        mean=constants.mean,
        std=constants.std,
        notice="random weights, for measuring speed",
    )
    save_weights(net, card, folder)
    return "random weights of the public checkpoint's sizes"
