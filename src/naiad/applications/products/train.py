"""Training of GraphSAGE on a co-purchase graph, with the sampler and network used for serving.

As in the OGB examples for ogbn-products: mini-batches of products, sampled neighbourhoods, Adam,
dropout; validation and test with all neighbours, layer by layer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from naiad.applications.products.card import FANOUTS, Architecture, ProductsCard
from naiad.applications.products.graph import Ints, ProductGraph
from naiad.applications.products.sampler import Sampler
from naiad.errors import InvalidInput, MissingExtra

try:
    import torch
    from torch.nn import functional as F
except ImportError as error:
    raise MissingExtra("products", error.name or "torch") from error

from naiad.applications.products.model import SageNet
from naiad.applications.training import Training, fit, seeded, step

_DROPOUT: Final = 0.5
_ROWS: Final = 1 << 16  # rows of a layer computed at once


@dataclass(frozen=True, slots=True)
class Epoch:
    """The result of one epoch: the loss is a cross-entropy, accuracy a share of products."""

    loss: float
    validation_accuracy: float


def train(
    graph: ProductGraph,
    folder: Path,
    *,
    graph_folder: str = "",
    epochs: int = 20,
    batch: int = 1_024,
    lr: float = 3e-3,
    hidden: int = 256,
    fanouts: Sequence[int] = FANOUTS,
    seed: int = 0,
    notice: str = "",
    command: str = "",
    progress: Callable[[int, Epoch], None] | None = None,
) -> Training[Epoch]:
    """Train on ``graph`` and write the weights, as a folder, to ``folder``.

    Args:
        graph: products with categories, some of them for training and for validation.
        folder: the folder to write to.
        graph_folder: the folder of the graph to serve with the weights, as in
            :class:`~naiad.applications.products.card.ProductsCard`.
        epochs: number of epochs; the weights of the one with the best validation accuracy are kept.
        batch: products per step.
        lr: Adam's learning rate.
        hidden: numbers per product after each hidden layer.
        fanouts: neighbours sampled at each hop; there are as many layers.
        seed: seed of the weights, the dropout, the order of products and the sampling.
        notice: a notice to users of the weights.
        command: the command to record with the weights.
        progress: called with the number and the result of each epoch.

    Raises:
        InvalidInput: the graph has no categories, or no products for training or validation.
        NaiadError: the loss does not stay finite.
    """
    _check(graph)
    started = time.monotonic()
    architecture = Architecture(
        graph.features.shape[1], hidden, len(graph.categories), len(fanouts)
    )
    with seeded(seed):
        net = SageNet(architecture, _DROPOUT)
        history, best = _Learner(net, graph, fanouts, seed).fit(epochs, batch, lr, progress)
    parts = {"training": graph.train, "validation": graph.validation, "test": graph.test}
    result = Training(
        test_accuracy=accuracy(net, graph, graph.test) if graph.test.size else None,
        best_epoch=best,
        parts={part: len(index) for part, index in parts.items()},
        seconds=time.monotonic() - started,
        epochs=history,
    )
    card = ProductsCard(
        architecture=architecture,
        classes=graph.categories,
        trained_on=graph.source,
        graph=graph_folder,
        fanouts=tuple(fanouts),
        notice=notice,
        evaluations=result.evaluations("products", graph.source),
        provenance={"seed": str(seed), "command": command, "held_out": result.held_out("products")},
    )
    card.save_with(net, folder)
    result.write(folder, "products", {"notice": notice, "trained_on": graph.source})
    return result


def every_layer(net: SageNet, graph: ProductGraph) -> list[torch.Tensor]:
    """Return each layer's output for all products, using all neighbours without sampling.

    Computed layer by layer, because each needs the previous one of all neighbours: float32
    ``[products, width]`` each.
    """
    x = torch.from_numpy(np.array(graph.features, np.float32))
    answers: list[torch.Tensor] = []
    for number in range(net.architecture.layers):
        blocks: list[torch.Tensor] = []
        for start in range(0, len(graph), _ROWS):
            ends = graph.indptr[start : start + _ROWS + 1]
            neighbours = torch.from_numpy(graph.indices[ends[0] : ends[-1]].astype(np.int64))
            starts = torch.from_numpy(ends[:-1] - ends[0])
            own = x[start : start + _ROWS]
            blocks.append(net.layer(number, x, own, neighbours, starts))
        x = torch.cat(blocks)
        answers.append(x)
    return answers


def accuracy(net: SageNet, graph: ProductGraph, products: Ints) -> float:
    """Return the share of ``products`` that are classified correctly, using all neighbours."""
    training = net.training
    net.eval()
    with torch.inference_mode():
        found = every_layer(net, graph)[-1].argmax(dim=1).numpy()
    net.train(training)
    return float((found[products] == graph.category[products]).mean())


def _check(graph: ProductGraph) -> None:
    if not graph.category.size or len(graph.categories) < 2:
        raise InvalidInput(f"{graph.source} has no categories to learn")
    for name, index in (("train", graph.train), ("validation", graph.validation)):
        if not index.size:
            raise InvalidInput(f"{graph.source} has no products for {name}")
    for index in (graph.train, graph.validation, graph.test):
        if (graph.category[index] < 0).any():
            raise InvalidInput(f"{graph.source}: a product of the split has no category (-1)")


class _Learner:
    """A network and the graph that it is trained on."""

    def __init__(
        self, net: SageNet, graph: ProductGraph, fanouts: Sequence[int], seed: int
    ) -> None:
        self.net = net
        self.graph = graph
        self.rng = np.random.default_rng(seed)
        self.sampler = Sampler(graph.indptr, graph.indices, fanouts)

    def fit(
        self,
        epochs: int,
        batch: int,
        lr: float,
        progress: Callable[[int, Epoch], None] | None,
    ) -> tuple[list[Epoch], int]:
        """Train; return the history and the number of the best epoch, whose weights are kept."""
        optimiser = torch.optim.Adam(self.net.parameters(), lr=lr)

        def epoch(number: int) -> Epoch:
            loss = self._epoch(optimiser, batch)
            return Epoch(loss, accuracy(self.net, self.graph, self.graph.validation))

        return fit(
            self.net, epoch, epochs, lambda one: (one.validation_accuracy,), progress=progress
        )

    def _epoch(self, optimiser: torch.optim.Optimizer, batch: int) -> float:
        """Train on each product once; return the mean loss."""
        self.net.train()
        order = self.rng.permutation(self.graph.train)
        total = 0.0
        for start in range(0, len(order), batch):
            products = order[start : start + batch]
            found = self.sampler.sample(products, int(self.rng.integers(1 << 62)))
            x = torch.from_numpy(self.graph.features[found.nodes]).float()
            rest = (found.node_hop, found.edge_index, found.edge_hop)
            scores = self.net(x, *map(torch.from_numpy, rest))[-1]
            truth = torch.from_numpy(self.graph.category[products].astype(np.int64))
            total += step(F.cross_entropy(scores, truth), optimiser) * len(products)
        return total / len(order)
