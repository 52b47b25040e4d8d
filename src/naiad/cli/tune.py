"""``naiad tune``: find the budget, workers and threads that suit this machine."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from naiad.cli.bench import print_table
from naiad.cli.options import Seconds, time_option
from naiad.console import progress_bar, say, say_notice
from naiad.core.fields import like
from naiad.core.settings import ServiceSettings

if TYPE_CHECKING:
    from naiad.tune.session import Settings, Study

_BUSY = 0.2  # of all cores


@dataclass(frozen=True, slots=True)
class _Target:
    """The latency target, as for a server."""

    latency_target: float | None = like(
        ServiceSettings,
        "latency_target",
        help="Recommend batches that take at most half of this, and set it as the server's target.",
    )


def tune(
    pipeline: Annotated[
        str,
        typer.Argument(help="A built-in name, or my_model.py:MyModel.", show_default=False),
    ],
    *,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Requests to measure with: a file of the application's data, a .npz file with "
            "the arrays of one request by input name, or a folder of those. By default, "
            "simulated or random requests.",
        ),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Weights to use instead of the pipeline's default ones.")
    ] = None,
    device: Annotated[str, typer.Option(help="Device: cpu, cuda:0, ...")] = "cpu",
    target: _Target,
    seconds: Annotated[float, time_option("Time to measure, without loading.")] = Seconds(25),
    seed: Annotated[
        int,
        typer.Option(
            min=0, help="Random seed of simulated and random requests, and of their order."
        ),
    ] = 0,
    directory: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the results.")
    ] = Path(),
) -> None:
    """Find the batch size, workers and threads that suit this machine; write tuning.json and .png.

    [bold]Examples[/]

      naiad tune nugraph3
      naiad tune nugraph3 --data events.h5 --weights my-weights/ --output tuned/
      naiad tune my_model.py:MyModel --data requests/ --latency-target 50ms
      naiad serve nugraph3 --tuning tuning.json
    """
    for module in ("naiad.tune.fit", "naiad.tune.plots"):
        import_module(module)  # report a missing extra before the work
    from naiad.tune.plots import write_plot
    from naiad.tune.session import Settings

    directory.mkdir(parents=True, exist_ok=True)
    study = _measure(
        Settings(
            pipeline=pipeline,
            data=data,
            weights=weights,
            device=device,
            latency_target=target.latency_target,
            seconds=float(seconds),
            seed=seed,
        )
    )
    _print(study)
    file, plot = directory / "tuning.json", directory / "tuning.png"
    file.write_text(study.tuning.to_json(), "utf-8")
    write_plot(study, plot)
    say("wrote ", (str(file), "bold"), f" and {plot}")
    say(f"use it: naiad serve {shlex.quote(pipeline)} --tuning {shlex.quote(str(file))}")


def _measure(settings: Settings) -> Study:
    from naiad.tune.session import tune as measure

    with progress_bar("starting", 1.0, unit=None) as advance:
        return measure(settings, lambda text, share: advance(share, label=text))


def _print(study: Study) -> None:
    from naiad.tune.tables import batch_table, cost_table, runtime_table, team_table

    if study.runtimes:
        print_table(runtime_table(study))
        for trial in study.runtimes:
            if trial.refused:
                say(f"not by {trial.runtime}: {trial.refused}")
    for table in (batch_table(study), cost_table(study), team_table(study)):
        print_table(table)
    found = study.tuning
    budget = ", ".join(f"{dim}={size:_}" for dim, size in found.budget.items())
    means = (f"{size:,.0f} {dim}" for dim, size in study.workload.mean_sizes().items())
    say(f"measured with {study.workload.source}, on average {', '.join(means)}")
    recommended = (
        f"recommended: Budget({budget}), {found.instances} instance(s), "
        f"{found.threads} thread(s) each" + (f", by {found.runtime}" if found.runtime else "")
    )
    say((recommended, "bold"))
    if study.busy > _BUSY:
        say_notice(
            f"other programs were using {100 * study.busy:.0f} % of the cores: measure again on an "
            "idle machine"
        )
    if (target := found.latency_target) and study.best.batch_seconds > target / 2:
        say_notice(
            f"a single request already takes {1e3 * study.best.batch_seconds:.3g} ms: a target of "
            f"{1e3 * target:g} ms cannot be met while others wait"
        )
