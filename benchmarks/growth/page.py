"""The part of ``docs/performance.md`` that a run writes, and its picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TypeAlias

from benchmarks.growth.curve import Curve, Series
from benchmarks.growth.fit import Fit, fit
from matplotlib.figure import Figure

COMMAND = "make bench-growth"

Values: TypeAlias = Mapping[str, Mapping[int, Sequence[float]]]
"""Values of rounds, by name of the series and by size."""

_COLUMNS = 3  # of panels


def table(curve: Curve, values: Values) -> str:
    """Return a curve's heading, and its table with a row per size and the exponents."""
    shown = [series for series in curve.series if values.get(series.name)]
    fits = {series.name: fit(values[series.name]) for series in shown}
    sizes = sorted({size for series in shown for size in values[series.name]})
    lines = [
        f"### {curve.title}",
        "",
        f"| {curve.size} | {' | '.join(series.title for series in shown)} |",
        f"|{'---|' * (len(shown) + 1)}",
        *(
            f"| {size:,} | {' | '.join(_cell(values[s.name].get(size)) for s in shown)} |"
            for size in sizes
        ),
        f"| exponent | {' | '.join(_whole(fits[s.name]) for s in shown)} |",
        f"| of the last decade | {' | '.join(_tail(s, fits[s.name]) for s in shown)} |",
    ]
    if curve.note:
        lines += ["", curve.note]
    for series in shown:
        found = fits[series.name]
        if flagged(series, found):
            why = series.why or "no reason is known"
            lines += ["", f"**{series.name}** grows faster than it should: {why}."]
    return "\n".join(lines)


def flagged(series: Series, found: Fit | None) -> bool:
    """Return whether a cost grows faster than it should."""
    return series.most is not None and found is not None and found.tail > series.most


def plot(curves: Mapping[Curve, Values], path: Path) -> None:
    """Plot each curve's series relative to their first values, on logarithmic axes."""
    rows = -(-len(curves) // _COLUMNS)
    figure = Figure(figsize=(10, 3 * rows), layout="constrained")
    panels = figure.subplots(rows, _COLUMNS, squeeze=False)
    for axes in panels.flat[len(curves) :]:
        axes.set_visible(False)
    for axes, (curve, values) in zip(panels.flat, curves.items(), strict=False):
        for series in curve.series:
            found = {s: median(v) for s, v in sorted(values.get(series.name, {}).items())}
            found = {size: value for size, value in found.items() if value > 0}
            if len(found) < 2 or series.most is None:
                continue
            first = next(iter(found.values()))
            axes.plot(list(found), [v / first for v in found.values()], "o-", label=series.name)
        axes.set(xscale="log", yscale="log", xlabel=curve.size, title=curve.name)
        if axes.lines:
            axes.legend(fontsize=6, frameon=False)
        ends = axes.get_xlim()
        axes.plot(ends, [1, ends[1] / ends[0]], ":", color="grey", scalex=False, scaley=False)
    figure.supylabel("cost, relative to the smallest size (dotted: proportional)", fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)


def _cell(found: Sequence[float] | None) -> str:
    if not found:
        return ""
    text = _number(median(found))
    low, high = _number(min(found)), _number(max(found))
    return text if low == high else f"{text} ({low} to {high})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _whole(found: Fit | None) -> str:
    return f"{found.exponent:.2f} ({found.least:.2f} to {found.most:.2f})" if found else ""


def _tail(series: Series, found: Fit | None) -> str:
    if found is None:
        return ""
    return f"**{found.tail:.2f}**" if flagged(series, found) else f"{found.tail:.2f}"
