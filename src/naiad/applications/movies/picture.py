"""A plot of picks: the films, and the people, genres and liked films they were picked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, cast

from naiad.applications.movies.picks import Pick
from naiad.errors import MissingExtra
from naiad.plots import new_figure, save

try:
    import networkx
except ImportError as error:
    raise MissingExtra("movies", "networkx") from error

_COLOURS: Final = {
    "film": "#1f77b4",
    "person": "#ff7f0e",
    "genre": "#7f7f7f",
    "liked film": "#2ca02c",
}
_ABOVE: Final = 0.04  # of a mark: its name, so that both are legible
_MOST: Final = 15  # films; more cannot be told apart


def graph_of(picks: Sequence[Pick]) -> networkx.Graph[Any]:
    """Build the graph of films and reasons: nodes ``(kind, name)``, with an edge per reason."""
    graph: networkx.Graph[Any] = networkx.Graph()
    for pick in picks:
        film = ("film", pick.name)
        graph.add_node(film, score=pick.score)
        people = (person.rpartition(" (")[0] for person in pick.why.people)
        reasons = [
            *(("person", name) for name in people),
            *(("genre", name) for name in pick.why.genres),
            *(("liked film", name) for name in pick.why.liked),
        ]
        graph.add_edges_from((film, reason) for reason in reasons)
    return graph


def draw(picks: Sequence[Pick], title: str, path: Path) -> None:
    """Draw at most 15 films.

    Raises:
        NaiadError: the file cannot be written.
    """
    graph = graph_of(picks[:_MOST])
    figure = new_figure(11, 8)
    axes = figure.add_subplot()
    places = networkx.spring_layout(graph, seed=0, k=1.6 / max(1, len(graph)) ** 0.5)
    networkx.draw_networkx_edges(graph, places, ax=axes, edge_color="#cccccc")
    for kind, colour in _COLOURS.items():
        nodes = [node for node in graph if node[0] == kind]
        sizes = [120 + 500 * max(0.0, graph.nodes[node].get("score", 0.0)) for node in nodes]
        networkx.draw_networkx_nodes(
            graph,
            places,
            nodelist=nodes,
            node_size=cast(Any, sizes),
            node_color=colour,
            label=kind,
            ax=axes,
        )
    labels = {node: node[1] for node in graph}
    above = {node: (x, y + _ABOVE) for node, (x, y) in places.items()}
    networkx.draw_networkx_labels(
        graph, above, labels, font_size=9, verticalalignment="bottom", clip_on=False, ax=axes
    )
    axes.set_title(title)
    axes.legend(loc="lower left", markerscale=0.5)
    axes.set_axis_off()
    save(figure, path)
