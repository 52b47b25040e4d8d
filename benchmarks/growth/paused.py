"""A NuGraph3 that takes the same time for each event without using a core, as a device would."""

from __future__ import annotations

import time

import naiad
from naiad.applications.nugraph.pipeline import NuGraph3
from naiad.core.pipeline import default_weights

PAUSE = 0.04
"""Seconds for each event."""


class Paused(NuGraph3):
    """NuGraph3, which waits for a device in ``forward``."""

    name = "nugraph3"
    weights = default_weights(NuGraph3)
    budget = naiad.Budget(requests=1)
    prepare_threads = 0

    def forward(self, batch):
        time.sleep(PAUSE)
        return super().forward(batch)
