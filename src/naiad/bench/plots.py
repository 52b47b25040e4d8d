"""Plots of a report, as SVG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from naiad.bench.measure import Level
from naiad.errors import MissingExtra

try:
    import matplotlib as mpl
    from matplotlib.figure import Figure
except ModuleNotFoundError:
    raise MissingExtra("tune", "matplotlib") from None

_COLOURS = ("#5b6770", "#9aa5b1", "#cfd8e3", "#6c8ebf", "#b8cce4", "#1f4e79", "#d9b26f", "#c77d3b")
# Client and transport grey, waiting light, work dark.
_STYLE: Any = {"svg.fonttype": "none", "axes.spines.top": False, "axes.spines.right": False}


def speed_plot(levels: Sequence[Level]) -> str:
    """Plot latency against throughput: median and 99th percentile, by kind of load."""
    with mpl.rc_context({**_STYLE, "svg.hashsalt": "speed"}):
        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.subplots()
        for kind, name, line in (("concurrency", "clients", "-"), ("rate", "Poisson", "--")):
            shown = [
                (level.throughput, level.latency, level)
                for level in levels
                if level.load.kind == kind and level.latency is not None
            ]
            if kind == "rate":
                shown.sort(key=lambda row: row[2].load.value)
            for which, colour in (("p50", "#1f4e79"), ("p99", "#c77d3b")):
                if shown:
                    axes.plot(
                        [throughput for throughput, _, _ in shown],
                        [1e3 * getattr(latency, which) for _, latency, _ in shown],
                        line + "o",
                        color=colour,
                        markersize=4,
                        label=f"{which}, {name}",
                    )
            for throughput, latency, level in shown:
                axes.annotate(
                    f"{level.load.value:.4g}",
                    (throughput, 1e3 * latency.p50),
                    textcoords="offset points",
                    xytext=(4, -11),
                    fontsize=8,
                )
        axes.set_xlabel("answers per second")
        axes.set_ylabel("latency / ms")
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
        if axes.lines:
            axes.legend(frameon=False)
        return _svg(figure)


def stage_plot(levels: Sequence[Level]) -> str | None:
    """Plot the time of a request by part, a bar per load; None without metrics of the server."""
    told = [(str(level.load), parts) for level in levels if (parts := level.parts()) is not None]
    if not told:
        return None
    with mpl.rc_context({**_STYLE, "svg.hashsalt": "stages"}):
        figure = Figure(figsize=(7, 0.8 + 0.4 * len(told)), layout="constrained")
        axes = figure.subplots()
        places = range(len(told))
        left = [0.0] * len(told)
        for part, colour in zip(told[0][1], _COLOURS, strict=True):
            # Transport is a difference of means, so it can be negative.
            widths = [1e3 * max(0.0, parts[part]) for _, parts in told]
            axes.barh(places, widths, left=left, color=colour, label=part)
            left = [a + b for a, b in zip(left, widths, strict=True)]
        axes.set_yticks(places, [load for load, _ in told])
        axes.invert_yaxis()
        axes.set_xlabel("ms of a request")
        axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)
        return _svg(figure)


def _svg(figure: Figure) -> str:
    written = io.StringIO()
    figure.savefig(written, format="svg", metadata={"Date": None})
    text = written.getvalue()
    return text[text.index("<svg") :]
