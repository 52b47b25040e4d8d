"""An echo that waits while a file exists, so that requests pile up."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import naiad

GATE = "gate"
_PULSE = 0.02


@dataclass(frozen=True)
class Options:
    """Settings of the echo."""

    gate: str = ""


class Held(naiad.Pipeline):
    """An echo that waits while the file ``gate`` exists."""

    inputs = {"x": naiad.Tensor("float32", ("values",))}
    outputs = {"y": naiad.Tensor("float32", ("values",))}
    arrays = "numpy"
    queue_capacity = 1_000_000
    watchdog = 3_600.0
    settings = Options()

    def forward(self, batch):
        while self.settings.gate and Path(self.settings.gate).exists():
            time.sleep(_PULSE)
        return {"y": batch["x"]}
