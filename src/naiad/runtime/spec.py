"""What a worker loads, and how it is served."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from naiad.core.cost_model import Cost
from naiad.core.settings import ServiceSettings


@dataclass(frozen=True, slots=True)
class Spec:
    """What a worker needs to know to load a model.

    Attributes:
        pipeline: as :func:`naiad.core.pipeline.load_pipeline` takes it.
        weights: file or folder, or None for the pipeline's default.
        device: ``"cpu"``, ``"cuda:0"``, ...
        threads: intra-op threads of the numeric libraries.
        budget: what a batch may hold, or None for what the pipeline says.
        settings: values for settings of the pipeline's own, or None.
    """

    pipeline: str
    weights: str | None = None
    device: str = "cpu"
    threads: int = 1
    budget: Mapping[str, int] | None = None
    settings: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ServiceConfig:
    """How a pipeline is served.

    Attributes:
        spec: what a worker loads.
        service: how requests wait and run; None is for no latency target.
        workers: how many share the model's queue.
        cost: what is believed of a batch's cost to begin with, or None.
    """

    spec: Spec
    service: ServiceSettings
    workers: int = 1
    cost: Cost | None = None
