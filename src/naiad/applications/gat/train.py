"""Training of the graph attention network with PyTorch Geometric, on one citation graph.

As in the paper (arXiv:1710.10903) and PyTorch Geometric's example, each epoch sees all papers; a
few have topics to learn, others are for validation.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from naiad.applications.gat.card import Architecture, GatCard
from naiad.applications.gat.graphs import CitationGraph, Ints
from naiad.errors import InvalidInput, MissingExtra

try:
    import torch
    from torch import nn
    from torch.nn import functional as F
    from torch_geometric.nn import GATConv
except ImportError as error:
    raise MissingExtra("gat-train", error.name or "torch_geometric") from error

from naiad.applications.gat.model import GatNet
from naiad.applications.training import Training, fit, seeded, step

_DROPOUT: Final = 0.6
_WEIGHT_DECAY: Final = 5e-4


@dataclass(frozen=True, slots=True)
class Epoch:
    """Results of an epoch: losses are cross-entropies, accuracies shares of papers."""

    loss: float
    validation_loss: float
    validation_accuracy: float


class PygGat(nn.Module):
    """The network in PyTorch Geometric; :class:`GatNet` takes its parameters unchanged."""

    def __init__(self, architecture: Architecture) -> None:
        """Make the network with random parameters."""
        super().__init__()
        self.architecture = a = architecture
        self.conv1 = GATConv(a.features, a.hidden, heads=a.heads, dropout=_DROPOUT)
        self.conv2 = GATConv(
            a.hidden * a.heads, a.classes, heads=a.out_heads, concat=False, dropout=_DROPOUT
        )

    def forward(self, x: torch.Tensor, edge_index: torch.Tensor) -> torch.Tensor:
        """As :meth:`GatNet.forward`."""
        x = F.dropout(x, _DROPOUT, self.training)
        x = F.dropout(F.elu(self.conv1(x, edge_index)), _DROPOUT, self.training)
        return self.conv2(x, edge_index)


def train(
    graph: CitationGraph,
    folder: Path,
    *,
    epochs: int = 300,
    lr: float = 5e-3,
    patience: int = 100,
    seed: int = 0,
    architecture: Architecture | None = None,
    notice: str = "",
    command: str = "",
    progress: Callable[[int, Epoch], None] | None = None,
) -> Training[Epoch]:
    """Train on ``graph`` and write the weights, as a folder, to ``folder``.

    Adam; stops early when neither loss nor accuracy on the validation papers has improved for
    ``patience`` epochs, and keeps the epoch of the best accuracy and, among those, of the lowest
    loss. ``command`` and ``notice`` are recorded beside the weights.

    Raises:
        InvalidInput: the graph has no topics, or no training or validation papers.
        NaiadError: the loss becomes infinite or NaN.
    """
    _check(graph)
    started = time.monotonic()
    architecture = architecture or Architecture(classes=len(graph.classes))
    with seeded(seed):
        network = PygGat(architecture)
        tensors = {
            name: torch.from_numpy(a) for name, a in graph.arrays(row_normalised=True).items()
        }
        learner = _Learner(network, graph, tensors["x__0"], tensors["edgeindex__1"])
        history, best = learner.fit(epochs, lr, patience, progress)
    parts = {"training": graph.train, "validation": graph.validation, "test": graph.test}
    result = Training(
        test_accuracy=learner.judge(graph.test)[1] if graph.test.size else None,
        best_epoch=best,
        parts={part: len(index) for part, index in parts.items()},
        seconds=time.monotonic() - started,
        epochs=history,
    )
    _save(network, graph, folder, result, notice, {"seed": str(seed), "command": command})
    return result


def _check(graph: CitationGraph) -> None:
    if not graph.topics.size or len(graph.classes) < 2:
        raise InvalidInput(f"{graph.source}: it has no topics (y and classes) to learn")
    for name, index in (("train_idx", graph.train), ("val_idx", graph.validation)):
        if not index.size:
            raise InvalidInput(f"{graph.source}: it has no {name}, the papers to learn with")
    for index in (graph.train, graph.validation, graph.test):
        if (graph.topics[index] < 0).any():
            raise InvalidInput(f"{graph.source}: a paper of the split has no topic (y is -1)")


class _Learner:
    """A network and the graph that it learns."""

    def __init__(
        self, network: PygGat, graph: CitationGraph, x: torch.Tensor, edge_index: torch.Tensor
    ) -> None:
        self.network = network
        self.graph = graph
        self.inputs = (x, edge_index)
        self.topics = torch.from_numpy(graph.topics)

    def fit(
        self,
        epochs: int,
        lr: float,
        patience: int,
        progress: Callable[[int, Epoch], None] | None,
    ) -> tuple[list[Epoch], int]:
        """Train until the epochs are over, or patience is; the network keeps the best weights."""
        papers = torch.from_numpy(self.graph.train)
        optimiser = torch.optim.Adam(self.network.parameters(), lr=lr, weight_decay=_WEIGHT_DECAY)

        def epoch(number: int) -> Epoch:
            self.network.train()
            scores = self.network(*self.inputs)
            loss = step(F.cross_entropy(scores[papers], self.topics[papers]), optimiser)
            return Epoch(loss, *self.judge(self.graph.validation))

        return fit(self.network, epoch, epochs, _scores, patience=patience, progress=progress)

    def judge(self, papers: Ints) -> tuple[float, float]:
        """Return loss and accuracy on ``papers``."""
        self.network.eval()
        index = torch.from_numpy(papers)
        with torch.inference_mode():
            scores = self.network(*self.inputs)[index]
        topics = self.topics[index]
        right = (scores.argmax(dim=1) == topics).float().mean()
        return F.cross_entropy(scores, topics).item(), right.item()


def _scores(epoch: Epoch) -> tuple[float, float]:
    return epoch.validation_accuracy, -epoch.validation_loss


def _save(
    network: PygGat,
    graph: CitationGraph,
    folder: Path,
    result: Training[Epoch],
    notice: str,
    provenance: Mapping[str, str],
) -> None:
    served = GatNet(network.architecture)
    served.load_state_dict(network.state_dict())
    card = GatCard(
        architecture=network.architecture,
        classes=graph.classes,
        trained_on=graph.source,
        notice=notice,
        evaluations=result.evaluations("papers", graph.source),
        provenance={**provenance, "held_out": result.held_out("papers")},
    )
    card.save_with(served, folder)
    result.write(folder, "papers", {"notice": notice, "trained_on": graph.source})
