"""The graph attention network for people who have a graph: topics out."""

from __future__ import annotations

from functools import cached_property

from naiad.applications.gat.graphs import CitationGraph
from naiad.applications.gat.results import GatResult, Labels
from naiad.applications.gat.schema import OUTPUTS
from naiad.client import ModelClient


class GatClient:
    """Asks a served ``gat_test``; from ``client.gat``, where ``client`` is a `naiad.Client`.

    Example::

        with naiad.Client("localhost:8001") as client:
            print(client.gat.infer(read_graph(Path("graph.npz"))).counts())
    """

    def __init__(self, model: ModelClient) -> None:
        """Ask the model that ``model`` is a client of."""
        self.model = model

    def __repr__(self) -> str:
        """The class and the server."""
        return f"GatClient({self.model!r})"

    @cached_property
    def labels(self) -> Labels:
        """The topics and the notice of the weights, which the server is asked for once."""
        parameters = self.model.config().get("parameters", {})
        return Labels.from_parameters(
            {name: str(value.get("string_value", "")) for name, value in parameters.items()}
        )

    def infer(self, graph: CitationGraph, *, timeout: float | None = None) -> GatResult:
        """The topic of each paper of ``graph``, whose features are scaled as the weights need.

        Raises:
            InvalidInput: the graph is not one; says which tensor, where and what is right.
            NaiadError: as of `naiad.Client`.
        """
        arrays = graph.arrays(row_normalised=self.labels.row_normalised)
        (name,) = OUTPUTS
        return GatResult(graph, self.model.infer(arrays, timeout=timeout)[name], self.labels)
