"""Tables of a study as text."""

from __future__ import annotations

from naiad.bench.tables import Table
from naiad.core.schema import REQUESTS
from naiad.runtime.runner import STAGES
from naiad.tune.session import Study

_CHOSEN = "<- this"


def runtime_table(study: Study) -> Table:
    """Tabulate the time of the same requests by each library that can run the network."""
    return Table(
        "Runtime: one worker, the same requests in each row",
        ("library", "ms", ""),
        tuple(
            (
                trial.runtime or "the file's own",
                f"{1e3 * trial.typical:,.4g}" if trial.seconds else "-",
                _CHOSEN if trial.runtime == study.tuning.runtime else "",
            )
            for trial in study.runtimes
        ),
    )


def batch_table(study: Study) -> Table:
    """Tabulate the throughput of one worker by batch size."""
    dims = list(study.best.budget)
    return Table(
        "Batch size: one worker, the same requests in each row",
        ("mean requests", *dims, "requests/s", "ms per batch", ""),
        tuple(
            (
                f"{candidate.batch:,}",
                *(f"{candidate.budget[dim]:,}" for dim in dims),
                f"{candidate.throughput:,.4g}",
                f"{1e3 * candidate.batch_seconds:,.4g}",
                _CHOSEN if candidate is study.best else "",
            )
            for candidate in study.candidates
        ),
    )


def cost_table(study: Study) -> Table:
    """Tabulate the cost of each stage by dimension."""
    dims = [REQUESTS, *(dim for dim in study.fit.cost.per if dim != REQUESTS)]
    rows = (("whole batch", study.fit), *((stage, study.stages[stage]) for stage in STAGES))
    return Table(
        "Cost: microseconds of a batch, and of each row in it",
        ("stage", "per batch", *dims, "R2", "median error"),
        tuple(
            (
                stage,
                f"{1e6 * fit.cost.fixed:,.0f}",
                *(f"{1e6 * fit.cost.per[dim]:,.3g}" for dim in dims),
                f"{fit.r_squared:.2f}",
                f"{100 * fit.median_error:.0f} %",
            )
            for stage, fit in rows
        ),
    )


def team_table(study: Study) -> Table:
    """Tabulate throughput by numbers of workers and threads."""
    return Table(
        "Concurrent workers, with the batch size chosen above",
        ("instances", "threads", "requests/s", ""),
        tuple(
            (
                f"{team.instances:,}",
                f"{team.threads:,}",
                f"{team.throughput:,.4g}",
                _CHOSEN if team is study.best_team else "",
            )
            for team in study.teams
        ),
    )
