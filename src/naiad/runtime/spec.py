"""Specification of a worker's model and its service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from naiad.core.cost_model import Cost
from naiad.core.settings import Runtime, ServiceSettings


@dataclass(frozen=True, slots=True)
class Spec:
    """All that a worker needs to load a model.

    Attributes:
        pipeline: a spec for :func:`naiad.core.pipeline.load_pipeline`.
        weights: file or folder, or None for the pipeline's default.
        device: ``"cpu"``, ``"cuda:0"``, ...
        threads: intra-op threads of the numeric libraries.
        budget: maximum size of a batch, or None for the pipeline's.
        settings: values for the pipeline's own settings, or None.
        runtime: library that runs the network, or None for that of its file.
    """

    pipeline: str
    weights: str | None = None
    device: str = "cpu"
    threads: int = 1
    budget: Mapping[str, int] | None = None
    settings: Mapping[str, Any] | None = None
    runtime: Runtime | None = None


@dataclass(frozen=True, slots=True)
class ServiceConfig:
    """Service of a pipeline.

    Attributes:
        spec: the model that a worker loads.
        service: queueing and execution; a latency target of None means no target.
        workers: number of workers that share the model's queue.
        cost: initial estimate of a batch's cost, or None.
    """

    spec: Spec
    service: ServiceSettings
    workers: int = 1
    cost: Cost | None = None
