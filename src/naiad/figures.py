"""Figures drawn by Plotly, which people zoom into on the page."""

from __future__ import annotations

from typing import Any, Literal

from naiad.errors import MissingExtra

# All imports of Plotly are here, so that its absence has one message.
try:
    from plotly import graph_objects as graph_objects
    from plotly.subplots import make_subplots as make_subplots
except ModuleNotFoundError:
    raise MissingExtra("ui", "plotly") from None


def lay_out(
    figure: Any,
    height: int,
    *,
    legend: float,
    top: int = 10,
    hover: str = "closest",
    drag: Literal["pan", "zoom"] = "zoom",
) -> None:
    """Give a figure its height in pixels, small margins, and a legend below.

    Args:
        figure: to change.
        height: of all.
        legend: place of its upper edge, in heights of the plots from their lower edge.
        top: upper margin in pixels, for titles.
        hover: as Plotly's ``hovermode``.
        drag: effect of dragging.
    """
    figure.update_layout(
        height=height,
        margin={"l": 10, "r": 10, "t": top, "b": 10},
        legend={"orientation": "h", "y": legend, "x": 0, "itemsizing": "constant"},
        hovermode=hover,
        dragmode=drag,
    )
