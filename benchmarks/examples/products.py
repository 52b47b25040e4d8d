"""Embeddings of products: the workshop's client samples the neighbourhood of one, padded."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from benchmarks.examples.case import Case, Way, Ways, within
from benchmarks.examples.repository import FREE, example_server
from torch import nn
from torch_geometric.nn import SAGEConv

import naiad
from naiad.applications.products.contract import NODES, ROWS
from naiad.applications.products.pipeline import Products
from naiad.applications.products.sampler import Sampler
from naiad.applications.products.weights import load_weights
from naiad.core.schema import Array, Arrays

_PRODUCTS = 64


class Network(nn.Module):
    """GraphSAGE of PyTorch Geometric's for padded sizes, with the weights that come with Naiad."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        net, card = load_weights(folder)
        self.convs = nn.ModuleList(SAGEConv(*pair) for pair in pairwise(card.architecture.widths()))
        self.load_state_dict(net.state_dict())

    def forward(
        self, x: torch.Tensor, *layers: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return each layer's rows; ``layers`` are its edges, and its sizes, which are padded."""
        found: list[torch.Tensor] = []
        for number, conv in enumerate(self.convs):
            x = conv((x, x[:ROWS]), layers[2 * number])
            if number < len(self.convs) - 1:
                x = x.relu()
            found.append(x)
        first, second, third = found
        return first, second, third


class Padded:
    """The client's part: samples of the graph, in which it holds features and neighbours."""

    def __init__(self, pipeline: Products) -> None:
        """Open the graph. Naiad's sampler is used, for the same neighbours and so answers."""
        self._graph = pipeline.graph
        self._sampler = Sampler(self._graph.indptr, self._graph.indices, pipeline.known.fanouts)

    def __call__(self, product: int) -> dict[str, Array] | None:
        """Return the padded neighbourhood of a product, or None where it is too large."""
        found = self._sampler.sample(np.array([product]), 0)
        hops = len(self._sampler.fanouts)
        rows = [int((found.node_hop <= hop).sum()) for hop in range(hops + 1)]
        if rows[-1] > NODES or rows[-2] > ROWS:
            return None
        x = np.zeros((NODES, self._graph.features.shape[1]), np.float32)
        x[: rows[-1]] = self._graph.features[found.nodes]
        arrays: dict[str, Array] = {"input__0": x}
        for layer, hop in enumerate(range(hops, 0, -1)):
            edges = found.edge_index[:, found.edge_hop == hop]
            arrays[f"input__{2 * layer + 1}"] = np.ascontiguousarray(edges)
            arrays[f"input__{2 * layer + 2}"] = np.array([rows[hop], rows[hop - 1]])
        return arrays


@contextmanager
def start(scratch: Path, small: bool) -> Iterator[Ways]:
    pipeline = Products()
    folder = pipeline.weights_path
    assert folder is not None
    sample = Padded(pipeline)
    rng = np.random.default_rng(0)
    fit = (number for number in rng.permutation(len(pipeline.graph)) if sample(int(number)))
    products = [int(number) for _, number in zip(range(4 if small else _PRODUCTS), fit)]  # noqa: B905
    first = sample(products[0])
    assert first is not None
    file = scratch / "graphsage.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch advises against TorchScript, which examples use
        given = tuple(torch.from_numpy(array) for array in first.values())
        torch.jit.trace(Network(folder).eval(), given).save(str(file))
    with (
        example_server("graph_embeddings", "torchscript.py", {"file": str(file)}, small=small) as (
            example,
            model,
        ),
        naiad.serve("products", **FREE) as ours,
    ):

        async def ask(client: naiad.AsyncClient, product: int) -> Arrays:
            arrays = sample(product)
            assert arrays is not None
            found = await client.infer(model, arrays)
            hidden = np.stack([found["output__0"][0], found["output__1"][0]])
            return {"embeddings": hidden[None], "logits": found["output__2"][:1]}

        requests: list[Arrays] = [
            {"product": np.array([number]), "seed": np.zeros(1, np.int64)} for number in products
        ]
        yield Ways(
            Way(example, products, ask),
            Way.plain(ours, "products", requests),
            f"{len(products)} products of the synthetic graph that comes with Naiad, and its "
            "weights",
        )


CASES = (
    Case(
        "products",
        "GraphSAGE, one product a request",
        "a traced network of PyTorch Geometric's; the client samples the neighbourhood (by Naiad's "
        "compiled sampler) and sends its features, padded to 1,000 rows",
        start,
        within(1e-4, ("embeddings", "embeddings"), ("logits", "logits")),
        5.0,
    ),
)
