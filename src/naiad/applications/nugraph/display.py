"""The event display: the hits of three wire planes in the colours of classes and particles."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naiad.applications.nugraph.display_parts import (
    CROSS_HAIR,
    INK,
    NOISE,
    PALETTE,
    SOFT,
    WARNING,
    class_colours,
    dot,
    dot_area,
    mark_vertex,
    note,
    pretty,
    scale_bar,
    set_style,
)
from naiad.applications.nugraph.events import Event, EventFile, open_events
from naiad.applications.nugraph.labels import EVENT_CLASSES
from naiad.applications.nugraph.projection import Projection, fit_projection
from naiad.applications.nugraph.results import FILTERED, NuGraphResult
from naiad.applications.nugraph.schema import PLANES, POSITION_SCALE
from naiad.plots import Axes, Figure, new_figure, save
from naiad.tasks.task import Found

_PLANE_TITLES = {"u": "Plane u", "v": "Plane v", "y": "Plane y (collection)"}
_GEOMETRY_EVENTS = 32  # that the detector's geometry is fitted to
_CHARGES = (50.0, 200.0, 800.0)  # of the legend, ADC

# Inches.
_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM, _PANEL, _GAP = 13.0, 0.8, 0.2, 1.2, 0.95, 3.7, 0.22
_LEAST = 12.0  # cm, smallest span when zoomed in
_TAIL = 0.05  # share of the charge that may be out of view at either end when zoomed in
_MARGIN = 0.04  # share of the hits' span that is left free at either end without zooming in

# Where wire and time are in centimetres, all directions have one scale.
_WIRE_CM, _TICK_CM = POSITION_SCALE

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class _Row:
    """One row of panels: each hit's class (-1: faint), and the vertex's position by plane."""

    title: str
    classes: NDArray[np.int64]
    vertex: Mapping[str, Point]


def event_display(
    event: Event,
    result: NuGraphResult,
    path: Path | str | None = None,
    *,
    truth: bool = False,
    zoom: bool = True,
    projection: Projection | None = None,
) -> Figure:
    """Draw an event: wire against time on three planes, hits in the colour of their class.

    Zoomed in, all planes have one scale along wires and drift, so angles are as in space; without,
    the axes are fitted to the hits, as these spread over metres. The area of a hit
    grows with its charge; hits that the filter drops are faint. The vertex is marked on planes with
    a known projection: ``projection``, else one fitted to the positions of the event's spacepoints.
    A model that finds particles has a second row, with hits in the colour of their particle.

    Args:
        event: the event.
        result: the model's result for it.
        path: PNG, PDF or SVG file to write, if any.
        truth: add a row with the true classes and vertex, for events with truth.
        zoom: show where the signal's charge is, and count the hits outside; else show all.
        projection: of the detector, as from :func:`fit_projection` on many events.

    Returns:
        The figure, independent of any window or global state.
    """
    projection = projection or fit_projection([event])
    rows = [_predicted(result, projection)]
    focus = rows[0]
    if result.has("particle"):
        rows.append(_by_particle(result, focus.vertex))
    if truth and event.truth is not None:
        rows.append(focus := _true(event, projection))
    height = _TOP + _BOTTOM + (_PANEL + _GAP) * len(rows) - _GAP
    figure = new_figure(_WIDTH, height, dpi=160, facecolor="white", layout=None)
    grid = figure.subplots(
        len(rows),
        len(PLANES),
        squeeze=False,
        sharey=True,
        sharex="col",
        gridspec_kw={
            "left": _LEFT / _WIDTH,
            "right": 1 - _RIGHT / _WIDTH,
            "top": 1 - _TOP / height,
            "bottom": _BOTTOM / height,
            "wspace": 0.06,
            "hspace": _GAP / _PANEL,
        },
    )
    if zoom:
        _frame_signal(grid[0], event, rows, focus.classes >= 0)
    else:
        _frame_all(grid[0], event, rows)
    for axes, row in zip(grid, rows, strict=True):
        _draw_row(axes, event, row, first=row is rows[0], last=row is rows[-1])
    if zoom:
        scale_bar(grid[-1][-1])
    _header(figure, result, height)
    _legend(figure, result, any(row.vertex for row in rows), height)
    if path is not None:
        save(figure, Path(path), dpi="figure")
    return figure


def draw(found: Found, path: Path, *, truth: bool, zoom: bool) -> None:
    """Draw an event of a file, with the detector's geometry fitted to the file's events."""
    if not found.path.is_file():  # an event in memory
        event_display(found.unit(), found.result, path, truth=truth, zoom=zoom)
        return
    file, projection = _opened(found.path, found.path.stat().st_mtime_ns, truth)
    event_display(
        file[found.number], found.result, path, truth=truth, zoom=zoom, projection=projection
    )


@lru_cache(maxsize=1)  # pictures of one file are drawn one after the other
def _opened(path: Path, changed: int, truth: bool) -> tuple[EventFile, Projection | None]:
    file = open_events(path, truth=truth)
    some = file.read(range(min(len(file), _GEOMETRY_EVENTS)))
    return file, fit_projection(event for _, event in some if isinstance(event, Event))


def _predicted(result: NuGraphResult, projection: Projection | None) -> _Row:
    codes = result.values["semantic"] if result.has("semantic") else np.zeros(result.num_hits)
    classes = np.where(result.is_kept, codes.astype(np.int64), -1)
    seen = projection(result.vertex) if projection and result.has("vertex") else {}
    return _Row(result.labels.title, classes, seen)


def _by_particle(result: NuGraphResult, vertex: Mapping[str, Point]) -> _Row:
    """Colour hits by their particle; neighbours in number differ."""
    number = result.num_particles
    title = f"{number} particle{'' if number == 1 else 's'}"
    return _Row(title, result.values["particle"].astype(np.int64), vertex)


def _true(event: Event, projection: Projection | None) -> _Row:
    assert event.truth is not None
    number = event.truth.event_class
    kind = pretty(EVENT_CLASSES[number]) if number >= 0 else "no neutrino"
    seen = projection(event.truth.vertex) if projection is not None else {}
    return _Row(f"Truth: {kind}", event.truth.semantic, seen)


def _frame_all(axes: Sequence[Axes], event: Event, rows: Sequence[_Row]) -> None:
    """Set the limits: each plane's wires, and the times of all, with all hits in view."""
    planes, wires = event.hits["local_plane"], event.hits["local_wire"]
    for number, (plane, ax) in enumerate(zip(PLANES, axes, strict=True)):
        marks = [row.vertex[plane][0] for row in rows if plane in row.vertex]
        ax.set_xlim(*_fitted(wires[planes == number], marks, _LEAST / _WIRE_CM))
    marks = [at[1] for row in rows for at in row.vertex.values()]
    axes[0].set_ylim(*_fitted(event.hits["local_time"], marks, _LEAST / _TICK_CM))


def _fitted(values: NDArray[Any], marks: Sequence[float], least: float) -> tuple[float, float]:
    """Return limits around all values, and around marks that are near them, with a margin."""
    if len(values) == 0:
        middle = sum(marks) / len(marks) if marks else least / 2
        return middle - least / 2, middle + least / 2
    low, high = float(values.min()), float(values.max())
    reach = max(0.1 * (high - low), least / 2)
    near = [mark for mark in marks if low - reach <= mark <= high + reach]
    low, high = min([low, *near]), max([high, *near])
    margin = max(_MARGIN * (high - low), 0.5 * (least - (high - low)))
    return low - margin, high + margin


def _frame_signal(
    axes: Sequence[Axes], event: Event, rows: Sequence[_Row], signal: NDArray[np.bool_]
) -> None:
    """Set the limits: one scale for all, with the signal's charge and nearby vertices in view."""
    planes = event.hits["local_plane"]
    wires = event.hits["local_wire"] * _WIRE_CM
    times = event.hits["local_time"] * _TICK_CM
    charge = np.clip(event.hits["integral"], 0, None)
    chosen = signal if signal.any() else np.ones(len(planes), bool)
    spans: list[tuple[float, float]] = []
    for number, plane in enumerate(PLANES):
        here = chosen & (planes == number)
        marks = [row.vertex[plane][0] * _WIRE_CM for row in rows if plane in row.vertex]
        spans.append(_span(wires[here], charge[here], marks))
    marks = [at[1] * _TICK_CM for row in rows for at in row.vertex.values()]
    drift = _span(times[chosen], charge[chosen], marks)
    box = axes[0].get_window_extent()
    # Centimetres per pixel.
    scale = max(
        *((high - low) / box.width for low, high in spans), (drift[1] - drift[0]) / box.height
    )
    for ax, (low, high) in zip(axes, spans, strict=True):
        start, stop = _window(low, high, scale * box.width)
        ax.set_xlim(start / _WIRE_CM, stop / _WIRE_CM)
    start, stop = _window(*drift, scale * box.height)
    axes[0].set_ylim(start / _TICK_CM, stop / _TICK_CM)


def _window(low: float, high: float, width: float) -> tuple[float, float]:
    """Return limits of this width around low to high that pass 0 only as far as low."""
    start = (low + high - width) / 2
    if start < 0:
        start = min(low, 0.0)
    return start, start + width


def _span(
    values: NDArray[Any], charge: NDArray[Any], marks: Sequence[float]
) -> tuple[float, float]:
    """Return the span of the charge in cm, less its tails, with a margin."""
    if len(values) == 0:
        middle = sum(marks) / len(marks) if marks else _LEAST / 2
        return middle - _LEAST / 2, middle + _LEAST / 2
    order = np.argsort(values)
    ordered, sums = values[order], np.cumsum(charge[order])
    low = float(ordered[np.searchsorted(sums, _TAIL * sums[-1])])
    high = float(ordered[min(np.searchsorted(sums, (1 - _TAIL) * sums[-1]), len(ordered) - 1)])
    reach = max(0.5 * (high - low), _LEAST / 2)
    near = [mark for mark in marks if low - reach <= mark <= high + reach]
    low, high = min([low, *near]), max([high, *near])
    margin = max(0.2 * (high - low), 0.5 * (_LEAST - (high - low)))
    return low - margin, high + margin


def _draw_row(axes: Sequence[Axes], event: Event, row: _Row, *, first: bool, last: bool) -> None:
    planes = event.hits["local_plane"]
    wires, times = event.hits["local_wire"], event.hits["local_time"]
    areas = dot_area(event.hits["integral"])
    for number, (plane, ax) in enumerate(zip(PLANES, axes, strict=True)):
        set_style(ax)
        here = planes == number
        faint = np.flatnonzero(here & (row.classes < 0))
        ax.scatter(
            wires[faint], times[faint], areas[faint] * 0.6, color=NOISE, alpha=0.32, linewidths=0
        )
        # Large hits first, so that small ones stay visible.
        bright = np.flatnonzero(here & (row.classes >= 0))
        bright = bright[np.argsort(-areas[bright], kind="stable")]
        colours = np.array(PALETTE)[row.classes[bright] % len(PALETTE)]
        ax.scatter(
            wires[bright],
            times[bright],
            areas[bright],
            c=colours.tolist(),
            alpha=0.85,
            edgecolors="white",
            linewidths=0.25,
        )
        if not here.any():
            note(ax, 0.5, 0.5, "no hits", ha="center", va="center")
        if outside := _outside(ax, wires[here], times[here]):
            note(ax, 0.015, 0.02, f"{outside} hits outside", ha="left", va="bottom")
        if plane in row.vertex:
            mark_vertex(ax, row.vertex[plane])
        if first:
            ax.set_title(
                _PLANE_TITLES[plane], loc="left", fontsize=10.5, color=INK, fontweight="bold"
            )
        if last:
            ax.set_xlabel("wire", fontsize=9.5, color=SOFT)
    axes[0].set_ylabel("time [ticks]", fontsize=9.5, color=SOFT)
    note(axes[-1], 0.985, 0.975, row.title, ha="right", va="top", fontweight="bold")


def _outside(ax: Axes, wires: NDArray[Any], times: NDArray[Any]) -> int:
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    inside = (wires >= left) & (wires <= right) & (times >= bottom) & (times <= top)
    return int((~inside).sum())


def _header(figure: Figure, result: NuGraphResult, height: float) -> None:
    def line(x: float, inches: float, text: str, **style: Any) -> None:
        figure.text(x / _WIDTH, 1 - inches / height, text, va="baseline", **style)

    title = f"Run {result.run}, subrun {result.subrun}, event {result.event}"
    line(_LEFT, 0.42, title, fontsize=15, fontweight="bold", color=INK)
    facts: list[str] = []
    if result.has("event"):
        ranked = sorted(result.event_probabilities.items(), key=lambda item: -item[1])
        facts.append(
            ", ".join(
                f"{pretty(name)} {share:.2f}"
                for name, share in ranked
                if share >= 0.01 or name == ranked[0][0]
            )
        )
    if result.has("vertex"):
        x, y, z = (f"{value:.1f}".replace("-", "−") for value in result.vertex.tolist())
        facts.append(f"vertex ({x}, {y}, {z}) cm")
    if result.has("filter"):
        facts.append(f"{len(result.signal):,} of {result.num_hits:,} hits are signal")
    line(_LEFT, 0.74, "     ".join(facts), fontsize=11, color=INK)
    if result.notice:
        line(
            _WIDTH - _RIGHT - 0.05,
            0.40,
            result.notice[0].upper() + result.notice[1:],
            ha="right",
            fontsize=10,
            color=WARNING,
            bbox={"facecolor": "#fff4dd", "edgecolor": "#f0d9a8", "boxstyle": "round,pad=0.4"},
        )


def _legend(figure: Figure, result: NuGraphResult, vertex: bool, height: float) -> None:
    """Add legends: classes with hit counts below the panels; sizes and vertex at the top right."""
    counts = result.counts().sum(axis="columns").to_dict()
    filtered = counts.pop(FILTERED, None)
    handles = [
        dot(colour, f"{name} ({counts[name]})")
        for name, colour in class_colours(tuple(counts)).items()
    ]
    if filtered is not None:
        handles.append(dot(NOISE, f"filtered out ({filtered})", alpha=0.45))
    style: dict[str, Any] = {
        "frameon": False,
        "labelcolor": INK,
        "handletextpad": 0.3,
        "borderaxespad": 0,
        "bbox_transform": figure.transFigure,
    }
    figure.legend(
        handles=handles,
        loc="center",
        bbox_to_anchor=((_LEFT + _WIDTH - _RIGHT) / 2 / _WIDTH, 0.27 / height),
        ncols=len(handles),
        fontsize=9.5,
        columnspacing=1.8,
        **style,
    )
    sizes = [
        dot(SOFT, f"{charge:.0f}", size=math.sqrt(float(dot_area(np.array([charge]))[0])))
        for charge in _CHARGES
    ]
    sizes[-1].set_label(f"{_CHARGES[-1]:.0f} ADC")
    if vertex:
        sizes.append(dot(INK, "vertex", marker=CROSS_HAIR, size=12, edge=1.4))
    figure.legend(
        handles=sizes,
        loc="center right",
        bbox_to_anchor=(1 - _RIGHT / _WIDTH, 1 - 0.70 / height),
        ncols=len(sizes),
        fontsize=9,
        columnspacing=1.2,
        **style,
    )
