"""Plot of a study: throughput by batch size, cost by size, throughput by workers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from naiad.core.schema import REQUESTS
from naiad.plots import new_figure, save, style
from naiad.tune.session import Study

_MEASURED, _MODEL, _CHOSEN = "#1f4e79", "#9aa5b1", "#c77d3b"


def write_plot(study: Study, path: Path) -> None:
    """Write the plot as a PNG."""
    with style():
        figure = new_figure(13, 4)
        throughput, cost, workers = figure.subplots(1, 3)
        _throughput(throughput, study)
        _cost(cost, study)
        _workers(workers, study)
        figure.suptitle(f"{study.tuning.pipeline} on {study.tuning.device}: naiad tune")
        save(figure, path)


def _throughput(axes: Any, study: Study) -> None:
    tried = study.candidates
    sizes = [candidate.batch for candidate in tried]
    axes.plot(sizes, [c.throughput for c in tried], "o-", color=_MEASURED)
    chosen = "\n".join(f"{dim} {size:,}" for dim, size in study.tuning.budget.items())
    axes.plot([study.best.batch], [study.best.throughput], "o", color=_CHOSEN, markersize=10)
    axes.axvline(study.best.batch, color=_CHOSEN, linestyle=":", label=f"recommended:\n{chosen}")
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("mean requests per batch")
    axes.set_ylabel("requests per second, one worker")
    axes.legend(loc="lower right")


def _cost(axes: Any, study: Study) -> None:
    """Plot seconds of batches against the dimension that costs most, both logarithmic."""
    lots = [lot for candidate in study.candidates for lot in candidate.lots]
    per = study.fit.cost.per
    dim = max(per, key=lambda d: per[d] * sum(lot.sizes.get(d, 0) for lot in lots))
    shown = sorted((lot for lot in lots if lot.sizes.get(dim, 0)), key=lambda lot: lot.sizes[dim])
    sizes = [lot.sizes[dim] for lot in shown]
    axes.plot(sizes, [1e3 * lot.typical for lot in shown], ".", color=_MEASURED, label="measured")
    predicted = [1e3 * study.fit.cost.seconds(lot.sizes) for lot in shown]
    axes.plot(sizes, predicted, "x", color=_MODEL, markersize=4, label="cost model")
    bound = study.tuning.budget.get(dim)
    if bound is not None and dim != REQUESTS:
        axes.axvline(bound, color=_CHOSEN, linestyle=":", label=f"budget: {bound:,} {dim}")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(f"{dim} in the batch")
    axes.set_ylabel("ms per batch")
    axes.legend(loc="upper left")


def _workers(axes: Any, study: Study) -> None:
    names = [f"{team.instances} x {team.threads}" for team in study.teams]
    colours = [_CHOSEN if team is study.best_team else _MEASURED for team in study.teams]
    axes.bar(names, [team.throughput for team in study.teams], color=colours)
    axes.set_xlabel("workers x threads of each")
    axes.set_ylabel("requests per second")
