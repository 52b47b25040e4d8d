"""The ``graph_embeddings`` model: GraphSAGE under the contract of a public example's clients.

Clients sample neighbourhoods themselves and send them padded to fixed sizes: the features of 1,000
nodes and, per layer, the edges, as positions in the previous layer's rows, and the two sizes of the
bipartite graph they form: the number of rows that edges come from, and the number of leading rows
that they lead to. Each layer returns 500 rows; those beyond the second size are computed from zero
features. Clients read the first row, the product they ask about.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from naiad.applications.products.card import Architecture, ProductsCard
from naiad.applications.products.pipeline import weights_folder
from naiad.card import read_card
from naiad.core.budget import Budget
from naiad.core.merging import Batch
from naiad.core.pipeline import Pipeline, Request
from naiad.core.schema import Array, Arrays, Tensor
from naiad.errors import InvalidInput, WeightsError

if TYPE_CHECKING:
    import torch

    from naiad.applications.products.model import SageNet

NODES: Final = 1_000
"""Number of rows of features."""
ROWS: Final = 500
"""Number of rows that each layer returns."""
ARCHITECTURE: Final = Architecture()
"""The only network sizes that the contract allows."""

_LAYERS: Final = range(ARCHITECTURE.layers)
_WIDTHS: Final = ARCHITECTURE.widths()


def _edges(layer: int) -> str:
    return f"input__{2 * layer + 1}"


def _size(layer: int) -> str:
    return f"input__{2 * layer + 2}"


class GraphEmbeddings(Pipeline):
    """The output of each GraphSAGE layer for neighbourhoods sampled by the client."""

    inputs = {
        "input__0": Tensor("float32", (NODES, _WIDTHS[0]), doc="features; unused rows are zeros"),
        **{
            name: tensor
            for layer in _LAYERS
            for name, tensor in (
                (
                    _edges(layer),
                    Tensor(
                        "int64",
                        (2, f"edges_{layer + 1}"),
                        minimum=0,
                        doc=f"edges of layer {layer + 1}: from a row of its input, to a row",
                    ),
                ),
                (
                    _size(layer),
                    Tensor("int64", (2,), minimum=0, doc="number of rows used: from, to"),
                ),
            )
        },
    }
    outputs = {
        f"output__{layer}": Tensor(
            "float32",
            (ROWS, _WIDTHS[layer + 1]),
            doc="scores before softmax" if layer == _LAYERS[-1] else f"of layer {layer + 1}",
        )
        for layer in _LAYERS
    }
    budget = Budget(requests=32)
    limit = Budget(**{f"edges_{layer + 1}": 1_000_000 for layer in _LAYERS})
    weights = "data/weights"

    _net: SageNet | None = None

    @cached_property
    def known(self) -> ProductsCard:
        """The card of the weights.

        Raises:
            WeightsError: the weights do not fit this contract.
        """
        folder = weights_folder(self)
        known = read_card(folder, ProductsCard)
        if known.architecture != ARCHITECTURE:
            raise WeightsError(
                f"{folder}: the network is {known.architecture}; clients of {self.name} expect "
                f"{ARCHITECTURE}; serve it as products"
            )
        return known

    def metadata(self) -> Mapping[str, str]:
        """Return the notice and origin of the weights."""
        return {"notice": self.known.notice, "trained_on": self.known.trained_on}

    def setup(self, device: str) -> None:
        """Load the weights onto ``device``."""
        from naiad.applications.products.weights import load_weights

        _ = self.known  # refuses weights that do not fit the contract
        net, _ = load_weights(weights_folder(self))
        self._net = net.to(device)

    def prepare(self, request: Request) -> Arrays:
        """Refuse edges beyond the rows."""
        for layer in _LAYERS:
            rows = (NODES if layer == 0 else ROWS, ROWS)
            for end, most in enumerate(rows):
                wrong = np.flatnonzero(request[_edges(layer)][end] >= most)
                if wrong.size:
                    value = request[_edges(layer)][end, wrong[0]]
                    raise InvalidInput(
                        f"{_edges(layer)}[{end}, {wrong[0]}] is {value}; it must be 0 to {most - 1}"
                    )
        return request.arrays

    def forward(self, batch: Batch) -> Mapping[str, Any]:
        """Run each layer on all requests at once; each request has consecutive rows."""
        import torch

        from naiad.applications.products.model import starts_of

        if self._net is None:
            raise RuntimeError("setup() has not been called")
        x: torch.Tensor = batch["input__0"]
        answers: dict[str, torch.Tensor] = {}
        for layer in _LAYERS:
            used = torch.arange(ROWS, device=x.device) < batch[_size(layer)][:, 1:]
            own = x[:, :ROWS] * used[:, :, None]
            request = batch.index(f"edges_{layer + 1}")
            source = batch[_edges(layer)][0] + request * x.shape[1]
            target, order = (batch[_edges(layer)][1] + request * ROWS).sort(stable=True)
            starts = starts_of(target, batch.requests * ROWS)
            x = self._net.layer(layer, x.flatten(0, 1), own.flatten(0, 1), source[order], starts)
            x = x.view(batch.requests, ROWS, -1)
            answers[f"output__{layer}"] = x
        return answers

    def example(self) -> dict[str, Array]:
        """Return a product with two neighbours, one of which has another."""
        arrays: dict[str, Array] = {"input__0": np.zeros((NODES, _WIDTHS[0]), np.float32)}
        arrays["input__0"][:4] = np.random.default_rng(0).normal(size=(4, _WIDTHS[0]))
        for layer, (pairs, rows, to) in enumerate(
            (
                ([[1, 2, 3], [0, 0, 1]], 4, 4),
                ([[1, 2, 3], [0, 0, 1]], 4, 3),
                ([[1, 2], [0, 0]], 3, 1),
            )
        ):
            arrays[_edges(layer)] = np.array(pairs, np.int64)
            arrays[_size(layer)] = np.array([rows, to], np.int64)
        return arrays
