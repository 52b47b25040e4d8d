"""A tuning from its settings to the recommendation."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from naiad import __version__
from naiad.core.pipeline import Pipeline, load_pipeline, spec_with_weights
from naiad.runtime.runner import STAGES
from naiad.runtime.spec import Spec
from naiad.tune.fit import Fit, fit
from naiad.tune.recommend import best_candidate, best_team, recommended_budget
from naiad.tune.runtimes import Trial, best_runtime, measure_runtimes
from naiad.tune.sweep import Candidate, sweep
from naiad.tune.teams import Team, measure_teams
from naiad.tune.worker import Worker
from naiad.tune.workload import Workload, find_workload
from naiad.tuning import Tuning

_LOOK = 0.5  # seconds
_RUNTIMES = 0.2  # share of the time for the libraries that can run the network, if any
_SWEEP = 0.6  # share of the rest for batch sizes; the remainder is for numbers of workers


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of a tuning.

    Attributes:
        pipeline: as :func:`naiad.core.pipeline.load_pipeline` takes it.
        data: requests to measure with; see :func:`naiad.tune.workload.find_workload`.
        weights: a file or folder in place of the pipeline's default weights.
        device: ``"cpu"``, ``"cuda:0"``, ...
        latency_target: seconds within which to answer requests, or None.
        seconds: for measuring, without loading.
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
    """All measurements and the recommendation.

    Attributes:
        workload: the requests measured with.
        runtimes: libraries that were tried; none if the pipeline leaves no choice.
        candidates: batch sizes that were tried.
        teams: numbers of workers and threads that were tried.
        fit: the cost of a batch.
        stages: the cost of each of its stages.
        best: the recommended batch size.
        best_team: the recommended workers and threads.
        tuning: content of ``tuning.json``.
        busy: share of all cores that other programs used before the start.
    """

    workload: Workload
    runtimes: tuple[Trial, ...]
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

    ``on_progress`` is called with the current step and the share of the whole that is done.

    Raises:
        SchemaError: no such pipeline.
        WeightsError: no such weights.
        InvalidInput: the data cannot be read, or the pipeline accepts none of it.
        PipelineError: a hook raised.
    """
    name, weights = spec_with_weights(settings.pipeline, settings.weights)
    kind = load_pipeline(name)
    pipeline = kind(weights)  # report missing weights before any work
    on_progress("measuring the load of the machine", 0.0)
    busy = psutil.cpu_percent(_LOOK) / 100
    on_progress("reading requests", 0.02)
    workload = find_workload(pipeline, settings.data, settings.seed)
    spec = Spec(
        pipeline=name,
        weights=None if weights is None else str(weights),
        device=settings.device,
        budget={},  # do not split the batches that are tried here
    )
    seconds, runtimes = settings.seconds, list[Trial]()
    if kind.runtimes:
        runtimes = measure_runtimes(
            spec,
            kind.runtimes,
            workload.requests,
            _RUNTIMES * seconds,
            lambda text, share: on_progress(text, 0.02 + 0.02 * share),
        )
        seconds *= 1 - _RUNTIMES
        spec = replace(spec, runtime=best_runtime(runtimes))
    on_progress("loading the model", 0.04)
    with closing(Worker(spec)) as worker:
        worker.ready()
        candidates = sweep(
            worker,
            workload,
            _SWEEP * seconds,
            lambda text, share: on_progress(text, 0.05 + 0.5 * share),
        )
    lots = [lot for candidate in candidates for lot in candidate.lots]
    whole = fit((lot.sizes, lot.typical) for lot in lots)
    best = best_candidate(candidates, settings.latency_target)
    teams = measure_teams(
        spec,
        best,
        (1 - _SWEEP) * seconds,
        lambda text, share: on_progress(text, 0.6 + 0.4 * share),
    )
    team = best_team(teams)
    budget = recommended_budget(best, whole.cost, kind.budget)
    return Study(
        workload=workload,
        runtimes=tuple(runtimes),
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
            study=_facts(settings, kind, workload, runtimes, candidates, teams, whole),
            runtime=spec.runtime,
        ),
        busy=busy,
    )


def _facts(
    settings: Settings,
    kind: type[Pipeline],
    workload: Workload,
    runtimes: list[Trial],
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
        "runtimes": [
            {
                "runtime": trial.runtime,
                "seconds": trial.typical if trial.seconds else None,
                "refused": trial.refused,
            }
            for trial in runtimes
        ],
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
