"""A citation graph as a figure to zoom into, with the topics of each paper."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from naiad.applications.gat.display import MOST_PAPERS, layout
from naiad.applications.gat.results import GatResult
from naiad.errors import NaiadError
from naiad.figures import graph_objects, lay_out

# All are seen on white and on black.
_COLOURS: Final = ("#3d8fd1", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b8a800")
_HEIGHT: Final = 620  # pixels
_TITLE: Final = 40  # most characters of a paper's topic that are shown


def graph_figure(result: GatResult) -> Any:
    """Return a figure of the papers and their citations, coloured by predicted topic.

    Raises:
        NaiadError: the graph has more than `MOST_PAPERS` papers.
    """
    graph = result.graph
    if len(graph) > MOST_PAPERS:
        raise NaiadError(f"{len(graph):,} papers are too many to draw; {MOST_PAPERS:,} are not")
    at = layout(len(graph), graph.edge_index)
    once = graph.edge_index[:, graph.edge_index[0] < graph.edge_index[1]]
    ends = np.full((once.shape[1], 3, 2), np.nan)
    ends[:, :2] = at[once.T]
    lines = ends.reshape(-1, 2)
    figure: Any = graph_objects.Figure()
    figure.add_trace(
        graph_objects.Scatter(
            x=lines[:, 0],
            y=lines[:, 1],
            mode="lines",
            name="citations",
            line={"width": 0.6, "color": "rgba(136,136,136,0.5)"},
            hoverinfo="skip",
        )
    )
    numbers = np.arange(len(graph))
    for number, name in enumerate(result.labels.classes):
        here = result.topics == number
        short = name[:_TITLE]
        figure.add_trace(
            graph_objects.Scatter(
                x=at[here, 0],
                y=at[here, 1],
                customdata=np.stack([numbers[here], result.confidence[here]], axis=1),
                mode="markers",
                name=f"{short} ({int(here.sum()):,})",
                marker={
                    "color": _COLOURS[number % len(_COLOURS)],
                    "size": 8,
                    "opacity": 0.35 + 0.65 * result.confidence[here],
                    "line": {"width": 0},
                },
                hovertemplate="paper %{customdata[0]:.0f}<br>"
                f"{short} %{{customdata[1]:.2f}}<extra></extra>",
            )
        )
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False, scaleanchor="x")
    lay_out(figure, _HEIGHT, legend=-0.02, drag="pan")
    return figure
