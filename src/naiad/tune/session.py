"""A tuning from the first request to the recommendation."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from naiad import __version__
from naiad.core.pipeline import Pipeline, load_pipeline
from naiad.runtime.runner import STAGES
from naiad.runtime.spec import Spec
from naiad.tune.fit import Fit, fit
from naiad.tune.recommend import best_candidate, best_team, recommended_budget
from naiad.tune.sweep import Candidate, sweep
from naiad.tune.teams import Team, measure_teams
from naiad.tune.worker import Worker
from naiad.tune.workload import Workload, find_workload
from naiad.tuning import Tuning

_LOOK = 0.5  # seconds
_SWEEP = 0.6  # of the time is for batch sizes, the rest for numbers of workers


@dataclass(frozen=True, slots=True)
class Settings:
    """What to tune.

    Attributes:
        pipeline: as :func:`naiad.core.pipeline.load_pipeline` takes it.
        data: requests to measure with; see :func:`naiad.tune.workload.find_workload`.
        weights: a file or folder in place of the pipeline's default weights.
        device: ``"cpu"``, ``"cuda:0"``, ...
        latency_target: seconds within which requests should be answered, or None.
        seconds: what the measuring takes, loading apart.
        seed: of simulated and random requests, and of their order.
    """

    pipeline: str
    data: Path | None = None
    weights: Path | None = None
    device: str = "cpu"
    latency_target: float | None = None
    seconds: float = 25.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Study:
    """All that was measured, and what it comes to.

    Attributes:
        workload: what it was measured with.
        candidates: what was tried of batch sizes.
        teams: what was tried of workers and threads.
        fit: the cost of a batch.
        stages: the cost of each stage of it.
        best: the recommended batch size.
        best_team: the recommended workers and threads.
        tuning: what is written to ``tuning.json``.
        busy: share of all cores that other programs used before it began.
    """

    workload: Workload
    candidates: tuple[Candidate, ...]
    teams: tuple[Team, ...]
    fit: Fit
    stages: dict[str, Fit]
    best: Candidate
    best_team: Team
    tuning: Tuning
    busy: float


def tune(
    settings: Settings, on_progress: Callable[[str, float], None] = lambda text, share: None
) -> Study:
    """Measure a pipeline in worker processes, as it is served, and recommend how to serve it.

    ``on_progress`` is told what is done now and which share of the whole is over.

    Raises:
        SchemaError: no such pipeline.
        WeightsError: no such weights.
        InvalidInput: the data cannot be read, or the pipeline takes none of it.
        PipelineError: a hook raised.
    """
    kind = load_pipeline(settings.pipeline)
    pipeline = kind(settings.weights)  # weights that are not there are told before any work
    on_progress("looking how busy the machine is", 0.0)
    busy = psutil.cpu_percent(_LOOK) / 100
    on_progress("reading requests", 0.02)
    workload = find_workload(pipeline, settings.data, settings.seed)
    spec = Spec(
        pipeline=settings.pipeline,
        weights=str(settings.weights) if settings.weights is not None else None,
        device=settings.device,
        budget={},  # the batches that are tried here are not to be cut
    )
    on_progress("loading the model", 0.04)
    with closing(Worker(spec)) as worker:
        worker.ready()
        candidates = sweep(
            worker,
            workload,
            _SWEEP * settings.seconds,
            lambda text, share: on_progress(text, 0.05 + 0.5 * share),
        )
    lots = [lot for candidate in candidates for lot in candidate.lots]
    whole = fit((lot.sizes, lot.typical) for lot in lots)
    best = best_candidate(candidates, settings.latency_target)
    teams = measure_teams(
        spec,
        best,
        (1 - _SWEEP) * settings.seconds,
        lambda text, share: on_progress(text, 0.6 + 0.4 * share),
    )
    team = best_team(teams)
    budget = recommended_budget(best, whole.cost, kind.budget)
    return Study(
        workload=workload,
        candidates=tuple(candidates),
        teams=tuple(teams),
        fit=whole,
        stages={
            stage: fit((lot.sizes, max(1e-7, lot.stage(stage))) for lot in lots) for stage in STAGES
        },
        best=best,
        best_team=team,
        tuning=Tuning(
            pipeline=kind.name,
            device=settings.device,
            budget=budget,
            instances=team.instances,
            threads=team.threads,
            cost=whole.cost,
            latency_target=settings.latency_target,
            study=_facts(settings, kind, workload, candidates, teams, whole),
        ),
        busy=busy,
    )


def _facts(
    settings: Settings,
    kind: type[Pipeline],
    workload: Workload,
    candidates: list[Candidate],
    teams: list[Team],
    whole: Fit,
) -> dict[str, Any]:
    return {
        "naiad": __version__,
        "cores": len(os.sched_getaffinity(0)),
        "requests": workload.source,
        "mean_sizes": workload.mean_sizes(),
        "seed": settings.seed,
        "declared_budget": dict(kind.budget),
        "fit": {"r_squared": whole.r_squared, "median_error": whole.median_error},
        "batches": [
            {
                "batch": candidate.batch,
                "budget": dict(candidate.budget),
                "requests_per_second": candidate.throughput,
                "batch_seconds": candidate.batch_seconds,
            }
            for candidate in candidates
        ],
        "workers": [
            {
                "instances": team.instances,
                "threads": team.threads,
                "requests_per_second": team.throughput,
            }
            for team in teams
        ],
    }
