"""The event display as a figure to zoom into, with the values of each hit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from naiad.applications.nugraph.events import Event
from naiad.applications.nugraph.projection import fit_projection
from naiad.applications.nugraph.results import FILTERED, NuGraphResult
from naiad.applications.nugraph.schema import PLANES
from naiad.figures import graph_objects, lay_out, make_subplots

# All are seen on white and on black.
_COLOURS: Final = (
    *("#e69f00", "#3d8fd1", "#a6761d", "#d55e00"),
    *("#009e73", "#cc79a7", "#56b4e9", "#8a63d2"),
)
_NOISE: Final = "#8d949c"
_TAIL: Final = 0.05  # share of hits that may be out of view at either end
_HEIGHT: Final = 860  # pixels, of the three planes under each other


def event_figure(event: Event, result: NuGraphResult) -> Any:
    """Return a figure of an event: time against wire on each plane, hits by class.

    The area of a hit grows with its charge, and hits that the filter drops are grey. The vertex is
    marked on planes whose projection is fitted to the event's spacepoints.
    """
    classes = _classes(result)
    figure: Any = make_subplots(
        rows=len(PLANES),
        cols=1,
        subplot_titles=[f"plane {plane}" for plane in PLANES],
        vertical_spacing=0.09,
    )
    planes = result.columns["plane"]
    for number, _ in enumerate(PLANES):
        for name, (colour, chosen) in classes.items():
            here = chosen & (planes == number)
            if here.any():
                figure.add_trace(_hits(result, here, name, colour), row=number + 1, col=1)
    _mark_vertex(figure, event, result)
    _frame(figure, result)
    _name_once(figure)
    figure.update_xaxes(title_text="wire", title_standoff=4)
    figure.update_yaxes(title_text="time (ticks)", title_standoff=4)
    lay_out(figure, _HEIGHT, legend=-0.06, top=40)
    return figure


def _classes(result: NuGraphResult) -> Mapping[str, tuple[str, NDArray[np.bool_]]]:
    """Return the colour and the hits of each class, those filtered out first."""
    kept, found = result.is_kept, dict[str, tuple[str, NDArray[np.bool_]]]()
    if not kept.all():
        found[FILTERED] = (_NOISE, ~kept)
    if not result.has("semantic"):
        return found | {"hits": (_COLOURS[0], kept)}
    codes = result.values["semantic"]
    for number, name in enumerate(result.labels.semantic):
        found[name] = (_COLOURS[number % len(_COLOURS)], kept & (codes == number))
    return found


def _hits(result: NuGraphResult, here: NDArray[np.bool_], name: str, colour: str) -> Any:
    columns = {key: result.columns[key][here] for key in ("hit_id", "wire", "time", "integral")}
    shown = ["hit %{customdata[0]}", "wire %{x}, time %{y:.1f}", "charge %{customdata[1]:.0f} ADC"]
    custom = [columns["hit_id"], columns["integral"]]
    if result.has("semantic"):
        sure = result.probabilities[here].max(axis=1, initial=0.0)
        shown.append(f"likeliest class %{{customdata[{len(custom)}]:.2f}}")
        custom.append(sure)
    if result.has("filter"):
        shown.append(f"signal %{{customdata[{len(custom)}]:.2f}}")
        custom.append(result.values["filter"][here])
    area = np.clip(np.nan_to_num(columns["integral"]) / 150.0, 0.12, 8.0) ** 0.8
    return graph_objects.Scatter(
        x=columns["wire"],
        y=columns["time"],
        customdata=np.stack(custom, axis=1),
        mode="markers",
        name=name,
        legendgroup=name,
        marker={
            "color": colour,
            "size": 6.0 * np.sqrt(area),
            "opacity": 0.45 if name == FILTERED else 0.9,
            "line": {"width": 0},
        },
        hovertemplate="<br>".join([f"<b>{name}</b>", *shown]) + "<extra></extra>",
    )


def _mark_vertex(figure: Any, event: Event, result: NuGraphResult) -> None:
    projection = fit_projection([event]) if result.has("vertex") else None
    if projection is None:
        return
    seen = projection(result.vertex)
    for number, plane in enumerate(PLANES):
        if plane in seen:
            wire, time = seen[plane]
            mark = graph_objects.Scatter(
                x=[wire],
                y=[time],
                mode="markers",
                name="vertex",
                legendgroup="vertex",
                marker={"symbol": "cross-thin", "size": 18, "line": {"width": 2, "color": "red"}},
                hovertemplate="vertex<br>wire %{x:.1f}, time %{y:.1f}<extra></extra>",
            )
            figure.add_trace(mark, row=number + 1, col=1)


def _frame(figure: Any, result: NuGraphResult) -> None:
    """Show where the signal is; a double click shows all hits."""
    wires, times, planes = (result.columns[name] for name in ("wire", "time", "plane"))
    for number, _ in enumerate(PLANES):
        here = result.is_kept & (planes == number)
        if here.sum() > 1:
            figure.update_xaxes(range=_span(wires[here]), row=number + 1, col=1)
            figure.update_yaxes(range=_span(times[here]), row=number + 1, col=1)


def _span(values: NDArray[Any]) -> list[float]:
    """Return limits around values without their outermost ones, with a margin."""
    low, high = np.quantile(values.astype(np.float64), [_TAIL, 1 - _TAIL]).tolist()
    margin = max(0.3 * (high - low), 5.0)
    return [low - margin, high + margin]


def _name_once(figure: Any) -> None:
    """Show each class once in the legend."""
    named = set[str]()
    for trace in figure.data:
        trace.showlegend = trace.name not in named
        named.add(trace.name)
