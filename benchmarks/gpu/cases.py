"""The pipelines that are measured, their requests, and the tolerances of their answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from naiad.core.budget import Budget
from naiad.core.merging import Batch
from naiad.core.pipeline import Pipeline, Request, load_pipeline, make_pipeline, random_arrays
from naiad.core.schema import Arrays, validate
from naiad.runtime.runner import Runner

Forward: TypeAlias = Callable[[Batch], Mapping[str, Any]]
"""Runs a network on a batch of torch tensors."""


@dataclass(frozen=True, slots=True)
class Case:
    """A pipeline to measure.

    Attributes:
        name: in the report.
        pipeline: its spec.
        batches: numbers of requests that are run together; the last is the largest.
        tolerance: largest difference to the CPU's answers, relative to their largest value.
        requests: makes a number of requests; ``tiny`` ones only show that it works.
        forward: returns the network of a runner, if it is in torch.
    """

    name: str
    pipeline: str
    batches: tuple[int, ...]
    tolerance: float
    requests: Callable[[int, bool], list[Arrays]]
    forward: Callable[[Runner], Forward] | None

    def runner(self, device: str, weights: Path | None, *, tiny: bool) -> Runner:
        """Set the pipeline up on a device; batches are as large as the caller makes them."""
        kind = load_pipeline(self.pipeline)
        settings = {"small": True} if tiny and self.name == "densenet121" else {}
        pipeline: Pipeline = make_pipeline(kind, weights, settings)
        return Runner(pipeline, device, budget=Budget(requests=1_000_000))

    def checked(self, number: int, runner: Runner, *, tiny: bool) -> list[Request]:
        """Return requests as a worker has them."""
        inputs = type(runner.pipeline).inputs
        return [Request(one, validate(inputs, one)) for one in self.requests(number, tiny)]


def events(number: int, tiny: bool) -> list[Arrays]:
    from naiad.applications.nugraph.simulate import simulate

    return [event.arrays() for event in simulate(number, seed=1)]


def graphs(number: int, tiny: bool) -> list[Arrays]:
    from naiad.applications.gat.schema import INPUTS

    rng = np.random.default_rng(0)
    nodes = rng.integers(10, 20, number) if tiny else rng.integers(300, 1_500, number)
    sizes = [{"nodes": int(count), "edges": 4 * int(count)} for count in nodes]
    return [random_arrays(INPUTS, size, seed) for seed, size in enumerate(sizes)]


def texts(number: int, tiny: bool) -> list[Arrays]:
    from naiad.applications.text.embedding.simulate import simulated_texts
    from naiad.applications.text.embedding.texts import encode

    return [{"text": encode([text], "text")} for text in simulated_texts(number, seed=0)]


def volumes(number: int, tiny: bool) -> list[Arrays]:
    rng = np.random.default_rng(0)
    size = (1, 16, 16, 16) if tiny else (1, 192, 192, 64)
    return [{"volume": rng.random(size, np.float32)} for _ in range(number)]


def whole(runner: Runner) -> Forward:
    """Return ``forward`` of a pipeline that takes torch tensors."""
    return runner.pipeline.forward


def nugraph(runner: Runner) -> Forward:
    """Return the network, in torch, of NuGraph3's pipeline."""
    net: Any = getattr(runner.pipeline, "_network")  # noqa: B009 - the pipeline converts itself
    return lambda batch: net(batch, batch.requests)


CASES: Sequence[Case] = (
    Case(
        "nugraph3",
        "naiad.applications.nugraph.pipeline:NuGraph3",
        (1, 4, 16, 64, 256),
        1e-4,
        events,
        nugraph,
    ),
    Case("gat", "naiad.applications.gat.pipeline:Gat", (1, 4, 16, 64), 1e-4, graphs, whole),
    Case(
        "minilm",
        "naiad.applications.text.embedding.pipeline:TextEmbedding",
        (1, 8, 64, 256),
        1e-3,
        texts,
        None,
    ),
    Case("densenet121", "benchmarks.gpu.densenet:Volumes", (1, 2, 4, 8), 1e-2, volumes, whole),
)
