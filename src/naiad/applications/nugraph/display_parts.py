"""Parts of the event display: colours, marks and legends, the same in every picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naiad import plots
from naiad.applications.nugraph.schema import POSITION_SCALE
from naiad.plots import Axes, Line2D, MaxNLocator, Path

# No yellow, which white swallows.
PALETTE = (
    *(plots.ORANGE, plots.BLUE, "#000000", plots.VERMILION),
    *(plots.GREEN, plots.PURPLE, plots.SKY, "#7a5195"),
)
NOISE = "#8d949c"
INK = "#1c2430"
SOFT = "#5d6773"
WARNING = "#9a5b00"
PAPER = "#fbfbfc"

_NEUTRINOS = {
    "cc_nue": "νe CC",
    "cc_numu": "νμ CC",
    "cc_nutau": "ντ CC",
    "nc": "NC",
}
CROSS_HAIR = Path(
    [(-1, 0), (-0.42, 0), (0.42, 0), (1, 0), (0, -1), (0, -0.42), (0, 0.42), (0, 1)],
    [Path.MOVETO, Path.LINETO] * 4,
)


def class_colours(names: Sequence[str]) -> dict[str, str]:
    """Return each semantic class's colour, by its position among the model's classes."""
    return {name: PALETTE[number % len(PALETTE)] for number, name in enumerate(names)}


def pretty(event_class: str) -> str:
    """Return a class in physicists' notation, if there is one."""
    return _NEUTRINOS.get(event_class, event_class)


def dot_area(charge: NDArray[Any]) -> NDArray[np.float64]:
    """Return the area of a hit's dot, in square points, the same in every picture."""
    return 16.0 * np.clip(np.asarray(charge, np.float64) / 150.0, 0.12, 8.0) ** 0.8


def note(ax: Axes, x: float, y: float, text: str, **style: Any) -> None:
    """Add small text inside a panel, at a position from 0 to 1."""
    ax.text(
        x,
        y,
        text,
        transform=ax.transAxes,
        fontsize=8.5,
        color=SOFT,
        bbox={"facecolor": PAPER, "edgecolor": "none", "alpha": 0.8, "pad": 1.5},
        zorder=4,
        **style,
    )


def scale_bar(ax: Axes) -> None:
    """Add a scale bar of a round length, valid in both directions."""
    left, right = ax.get_xlim()
    bottom, top = ax.get_ylim()
    length = _round_length(0.28 * (right - left) * POSITION_SCALE[0])
    end = right - 0.03 * (right - left)
    start = end - length / POSITION_SCALE[0]
    y = bottom + 0.05 * (top - bottom)
    ax.plot([start, end], [y, y], color=INK, linewidth=1.6, solid_capstyle="butt", zorder=4)
    ax.text(
        (start + end) / 2,
        y + 0.015 * (top - bottom),
        f"{length:g} cm",
        ha="center",
        va="bottom",
        fontsize=8.5,
        color=INK,
        zorder=4,
    )


def _round_length(most: float) -> float:
    power = 10.0 ** math.floor(math.log10(most))
    return next(step * power for step in (5, 2, 1) if step * power <= most)


def set_style(ax: Axes) -> None:
    """Style the axes so that the hits stand out."""
    ax.set_facecolor(PAPER)
    # The last tick label of one panel would touch the first of the next.
    ax.xaxis.set_major_locator(MaxNLocator(7, prune="both", integer=True))
    ax.set_axisbelow(True)
    ax.grid(color="#e9ecef", linewidth=0.6)
    for side, spine in ax.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color("#b9c0c8")
        spine.set_linewidth(0.8)
    ax.tick_params(colors=SOFT, labelsize=8.5, length=3, width=0.8, color="#b9c0c8")


def mark_vertex(ax: Axes, at: tuple[float, float]) -> None:
    """Mark the vertex with an open cross-hair, or with an arrow head if it is out of view."""
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    x, y = min(max(at[0], left), right), min(max(at[1], bottom), top)
    if (x, y) == at:
        for colour, width in (("white", 4.0), (INK, 1.6)):
            ax.plot(
                x,
                y,
                marker=CROSS_HAIR,
                markersize=21,
                color=colour,
                markeredgewidth=width,
                zorder=5,
            )
        return
    marker = ("<" if at[0] < left else ">") if x != at[0] else ("v" if at[1] < bottom else "^")
    ax.plot(x, y, marker=marker, markersize=9, color=INK, clip_on=False, zorder=5)


def dot(
    colour: str,
    label: str,
    *,
    size: float = 7.5,
    alpha: float = 1.0,
    marker: str | Path = "o",
    edge: float = 0.0,
) -> Line2D:
    """Make a legend entry."""
    return Line2D(
        [],
        [],
        marker=marker,
        markeredgewidth=edge,
        alpha=alpha,
        linestyle="",
        markersize=size,
        color=colour,
        label=label,
    )
