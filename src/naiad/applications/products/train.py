"""Training of GraphSAGE on a co-purchase graph, with the sampler and the network that are served.

As in the OGB examples for ogbn-products: mini-batches of products, sampled neighbourhoods, Adam,
dropout; validation and test with all neighbours, layer by layer.
"""

from __future__ import annotations

import copy
import csv
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from naiad.applications.products.card import FANOUTS, Architecture, ProductsCard
from naiad.applications.products.graph import Ints, ProductGraph
from naiad.applications.products.sampler import Sampler
from naiad.errors import InvalidInput, MissingExtra, NaiadError

try:
    import torch
    from torch.nn import functional as F
except ImportError as error:
    raise MissingExtra("products", error.name or "torch") from error

from naiad.applications.products.model import SageNet

METRICS_FILE: Final = "metrics.json"
CURVE_FILE: Final = "curve.csv"
"""How a training went, as a whole and in each epoch, beside its weights."""

_DROPOUT: Final = 0.5
_ROWS: Final = 1 << 16  # of a layer that are computed at once


@dataclass(frozen=True, slots=True)
class Epoch:
    """How one epoch went: the loss is a cross-entropy, accuracy a share of products."""

    loss: float
    validation_accuracy: float


@dataclass(frozen=True, slots=True)
class Training:
    """How a training went; the weights are those of ``best_epoch``, counted from 0."""

    test_accuracy: float | None
    best_epoch: int
    products: Mapping[str, int]
    seconds: float
    epochs: list[Epoch] = field(default_factory=list[Epoch])


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
) -> Training:
    """Train on ``graph`` and write the weights, as a folder, to ``folder``.

    Args:
        graph: products with categories, some of them to learn from and to validate with.
        folder: where to write.
        graph_folder: where the graph is that is served with the weights, as
            :class:`~naiad.applications.products.card.ProductsCard` has it.
        epochs: how often each product to learn from is seen; the weights that are kept are those
            of the epoch with the best validation accuracy.
        batch: products per step.
        lr: Adam's learning rate.
        hidden: numbers per product after each hidden layer.
        fanouts: neighbours sampled at each hop; there are as many layers.
        seed: of the weights, the dropout, the order of products and the sampling.
        notice: what users of the weights must know.
        command: recorded beside the weights.
        progress: told of each epoch.

    Raises:
        InvalidInput: the graph has no categories, or no products to learn from or validate with.
        NaiadError: the loss does not stay finite.
    """
    _check(graph)
    started = time.monotonic()
    architecture = Architecture(
        graph.features.shape[1], hidden, len(graph.categories), len(fanouts)
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = SageNet(architecture, _DROPOUT)
        history, best = _Learner(net, graph, fanouts, seed).fit(epochs, batch, lr, progress)
    parts = {"training": graph.train, "validation": graph.validation, "test": graph.test}
    result = Training(
        test_accuracy=accuracy(net, graph, graph.test) if graph.test.size else None,
        best_epoch=best,
        products={part: len(index) for part, index in parts.items()},
        seconds=time.monotonic() - started,
        epochs=history,
    )
    held_out = (
        "none"
        if result.test_accuracy is None
        else f"accuracy {result.test_accuracy:.3f} on {len(graph.test):,} products"
    )
    card = ProductsCard(
        architecture=architecture,
        classes=graph.categories,
        trained_on=graph.source,
        graph=graph_folder,
        fanouts=tuple(fanouts),
        notice=notice,
        provenance={"seed": str(seed), "command": command, "held_out": held_out},
    )
    card.save_with(net, folder)
    _report(folder, result, card)
    return result


def every_layer(net: SageNet, graph: ProductGraph) -> list[torch.Tensor]:
    """What each layer gives for all products, with all their neighbours and none sampled.

    Layer by layer, as a product's neighbours need the layer before of theirs: float32
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
    """The share of ``products`` whose most probable category is theirs, with all neighbours."""
    training = net.training
    net.eval()
    with torch.inference_mode():
        found = every_layer(net, graph)[-1].argmax(dim=1).numpy()
    net.train(training)
    return float((found[products] == graph.category[products]).mean())


def _check(graph: ProductGraph) -> None:
    if not graph.category.size or len(graph.categories) < 2:
        raise InvalidInput(f"{graph.source}: it has no categories to learn")
    for name, index in (("train", graph.train), ("validation", graph.validation)):
        if not index.size:
            raise InvalidInput(f"{graph.source}: it has no products for {name}")
    for index in (graph.train, graph.validation, graph.test):
        if (graph.category[index] < 0).any():
            raise InvalidInput(f"{graph.source}: a product of the split has no category (-1)")


class _Learner:
    """A network, and the graph that it learns."""

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
        """Train; the network keeps the weights of the best epoch, whose number is returned."""
        optimiser = torch.optim.Adam(self.net.parameters(), lr=lr)
        history: list[Epoch] = []
        best = 0
        weights = copy.deepcopy(self.net.state_dict())
        for epoch in range(epochs):
            loss = self._epoch(optimiser, batch)
            if not np.isfinite(loss):
                raise NaiadError(
                    f"the loss is not finite any more, in epoch {epoch + 1}; try a smaller lr"
                )
            history.append(Epoch(loss, accuracy(self.net, self.graph, self.graph.validation)))
            if progress is not None:
                progress(epoch, history[-1])
            if epoch == 0 or history[-1].validation_accuracy > history[best].validation_accuracy:
                best = epoch
                weights = copy.deepcopy(self.net.state_dict())
        self.net.load_state_dict(weights)
        return history, best

    def _epoch(self, optimiser: torch.optim.Optimizer, batch: int) -> float:
        """See each product once; return the mean loss."""
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
            loss = F.cross_entropy(scores, truth)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += loss.item() * len(products)
        return total / len(order)


def _report(folder: Path, result: Training, card: ProductsCard) -> None:
    report = asdict(result)
    curve: list[dict[str, float]] = report.pop("epochs")
    report = {"notice": card.notice, "trained_on": card.trained_on, **report}
    (folder / METRICS_FILE).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    with (folder / CURVE_FILE).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["epoch", *curve[0]])
        writer.writeheader()
        writer.writerows({"epoch": n, **epoch} for n, epoch in enumerate(curve, start=1))
