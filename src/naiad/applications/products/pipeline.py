"""The ``products`` model: numbers of products in, categories and embeddings out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from naiad.applications.products.card import ProductsCard
from naiad.applications.products.graph import ProductGraph, open_graph
from naiad.applications.products.sampler import Sampler
from naiad.applications.products.schema import INPUTS, MAX_PRODUCTS, OUTPUTS, SAMPLE
from naiad.card import read_card
from naiad.core.budget import Budget
from naiad.core.merging import Batch
from naiad.core.pipeline import Pipeline, Request
from naiad.core.schema import Array, Arrays
from naiad.errors import InvalidInput, WeightsError

if TYPE_CHECKING:
    from naiad.applications.products.model import SageNet


class Products(Pipeline):
    """The category and embeddings of products, by GraphSAGE.

    ``weights`` is a folder as :mod:`naiad.applications.products.weights` writes it; it names the
    graph of the products.
    """

    inputs = INPUTS
    sample = SAMPLE
    outputs = OUTPUTS
    # Merging 16 requests for one product cuts the time of each to a quarter; beyond a few hundred
    # products little is gained, and other requests wait (benchmarks/products.py).
    budget = Budget(products=256, nodes=100_000)
    limit = Budget(products=MAX_PRODUCTS)
    weights = "data/weights"

    _net: SageNet | None = None

    @cached_property
    def known(self) -> ProductsCard:
        """The card of the weights."""
        return read_card(weights_folder(self), ProductsCard)

    @cached_property
    def graph(self) -> ProductGraph:
        """The graph of the products.

        Raises:
            WeightsError: the weights name no graph, or one that does not fit them.
        """
        return graph_of(weights_folder(self), self.known)

    def metadata(self) -> Mapping[str, str]:
        """Return categories, sizes, notice and origin of the weights, for clients."""
        return {
            "categories": json.dumps(self.known.classes),
            "products": str(len(self.graph)),
            "edges": str(self.graph.edges),
            "graph": self.graph.source,
            "fanouts": ",".join(map(str, self.known.fanouts)),
            "trained_on": self.known.trained_on,
            "notice": self.known.notice,
            "weights_sha256": self.known.sha256,
        }

    def setup(self, device: str) -> None:
        """Load the weights onto ``device`` and open the graph."""
        # Imported here because the command line must work without torch.
        from naiad.applications.products.weights import load_weights

        graph = self.graph
        self._sampler = Sampler(graph.indptr, graph.indices, self.known.fanouts)
        net, _ = load_weights(weights_folder(self))
        self._net = net.to(device)

    def prepare(self, request: Request) -> Arrays:
        """Sample the neighbourhood of a request's products."""
        products = request["product"]
        self.graph.check_products(products, "product")
        unique, position = np.unique(products, return_inverse=True)
        found = self._sampler.sample(unique, int(request["seed"][0]))
        return {
            "node": found.nodes,
            "node_hop": found.node_hop,
            "edge_index": found.edge_index,
            "edge_hop": found.edge_hop,
            "position": position.astype(np.int64),
            "neighbours": self.graph.degrees(products),
        }

    def forward(self, batch: Batch) -> Mapping[str, Any]:
        """Run the network on the neighbourhoods of a batch."""
        import torch

        if self._net is None:
            raise RuntimeError("setup() has not been called")
        features = self.graph.features[batch["node"].cpu().numpy()]
        x = torch.from_numpy(features).to(batch.device or "cpu").float()
        layers = self._net(x, batch["node_hop"], batch["edge_index"], batch["edge_hop"])
        # Positions count all nodes; the layers return only the requested ones.
        row = torch.cumsum(batch["node_hop"] == 0, 0) - 1
        *hidden, logits = (layer[row[batch["position"]]] for layer in layers)
        return {
            "embeddings": torch.stack(hidden, dim=1),
            "logits": logits,
            "probabilities": logits.softmax(dim=1),
            "neighbours": batch["neighbours"],
        }

    def example(self) -> dict[str, Array]:
        """Return a request for eight products, or as many as there are."""
        return {
            "product": np.arange(min(8, len(self.graph)), dtype=np.int64),
            "seed": np.zeros(1, np.int64),
        }


def weights_folder(pipeline: Pipeline) -> Path:
    """Return the folder of a pipeline's weights.

    Raises:
        WeightsError: the pipeline has no weights.
    """
    if pipeline.weights_path is None:
        raise WeightsError(f"{pipeline.name} has no weights; give a folder with --weights")
    return pipeline.weights_path


def graph_of(folder: Path, known: ProductsCard) -> ProductGraph:
    """Open the graph that some weights name.

    Raises:
        WeightsError: the weights name no graph, or one that does not fit them.
    """
    if not known.graph:
        raise WeightsError(
            f"{folder}: the weights name no graph; import them with --graph DIR, or serve them as "
            "graph_embeddings, whose clients send their own"
        )
    try:
        graph = open_graph(folder / known.graph)  # an absolute path stays absolute
    except InvalidInput as error:
        raise WeightsError(str(error)) from error
    width = graph.features.shape[1]
    if width != known.architecture.features:
        raise WeightsError(
            f"{folder / known.graph}: {width} features per product; the weights in {folder} take "
            f"{known.architecture.features}"
        )
    if not len(graph):
        raise WeightsError(f"{folder / known.graph}: the graph has no products")
    return graph
