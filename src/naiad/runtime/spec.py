"""What a worker loads, and how it is served."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from naiad.core.cost_model import Cost


@dataclass(frozen=True, slots=True)
class Spec:
    """What a worker needs to know to load a model.

    Attributes:
        pipeline: as :func:`naiad.core.pipeline.load_pipeline` takes it.
        weights: file or folder, or None for the pipeline's default.
        device: ``"cpu"``, ``"cuda:0"``, ...
        threads: intra-op threads of the numeric libraries.
        budget: what a batch may hold, or None for what the pipeline says.
    """

    pipeline: str
    weights: str | None = None
    device: str = "cpu"
    threads: int = 1
    budget: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class ServiceConfig:
    """How a pipeline is served.

    Attributes:
        spec: what a worker loads.
        instances: workers that share the model's queue.
        watchdog: seconds that a worker may take over one batch.
        queue_capacity: requests that may wait.
        max_queue_delay: seconds that a free worker may wait for a batch to fill.
        latency_target: seconds within which requests should be answered, or None.
        cost: what is believed of a batch's cost to begin with, or None.
    """

    spec: Spec
    instances: int
    watchdog: float
    queue_capacity: int
    max_queue_delay: float
    latency_target: float | None
    cost: Cost | None


def default_instances(device: str) -> int:
    """As many workers as this process may use cores; one on a GPU.

    Each has one thread: several would share an interpreter lock, and smaller batches among them.
    """
    if device.startswith("cuda"):
        return 1
    return max(1, len(os.sched_getaffinity(0)))
