"""Training of the graph attention network with PyTorch Geometric, on one citation graph.

As in the paper (arXiv:1710.10903) and PyTorch Geometric's example: all papers are seen in each
epoch, the topics of a few are learned, others tell when to stop.
"""

from __future__ import annotations

import copy
import csv
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from naiad.applications.gat.card import Architecture, GatCard
from naiad.applications.gat.graphs import CitationGraph, Ints
from naiad.errors import InvalidInput, MissingExtra, NaiadError

try:
    import torch
    from torch import nn
    from torch.nn import functional as F
    from torch_geometric.nn import GATConv
except ImportError as error:
    raise MissingExtra("gat-train", error.name or "torch_geometric") from error

from naiad.applications.gat.model import GatNet

METRICS_FILE: Final = "metrics.json"
CURVE_FILE: Final = "curve.csv"
"""How a training went, as a whole and in each epoch, beside its weights."""

_DROPOUT: Final = 0.6
_WEIGHT_DECAY: Final = 5e-4


@dataclass(frozen=True, slots=True)
class Epoch:
    """How one epoch went: losses are cross-entropies, accuracies shares of papers."""

    loss: float
    validation_loss: float
    validation_accuracy: float


@dataclass(frozen=True, slots=True)
class Training:
    """How a training went; the weights are those of ``best_epoch``, counted from 0."""

    test_accuracy: float | None
    best_epoch: int
    papers: Mapping[str, int]
    seconds: float
    epochs: list[Epoch] = field(default_factory=list[Epoch])


class PygGat(nn.Module):
    """The network in PyTorch Geometric, whose parameters :class:`GatNet` takes as they are."""

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
) -> Training:
    """Train on ``graph`` and write the weights, as a folder, to ``folder``.

    Adam; ends early when neither loss nor accuracy on the validation papers has become better for
    ``patience`` epochs, and keeps the epoch of the best accuracy, or of the lowest loss among
    those. ``command`` and ``notice`` are recorded beside the weights.

    Raises:
        InvalidInput: the graph has no topics, or no papers to learn from or to validate with.
        NaiadError: the loss does not stay finite.
    """
    _check(graph)
    started = time.monotonic()
    architecture = architecture or Architecture(classes=len(graph.classes))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = PygGat(architecture)
        tensors = {
            name: torch.from_numpy(a) for name, a in graph.arrays(row_normalised=True).items()
        }
        learner = _Learner(network, graph, tensors["x__0"], tensors["edgeindex__1"])
        history, best = learner.fit(epochs, lr, patience, progress)
    papers = {"training": graph.train, "validation": graph.validation, "test": graph.test}
    result = Training(
        test_accuracy=learner.judge(graph.test)[1] if graph.test.size else None,
        best_epoch=best,
        papers={part: len(index) for part, index in papers.items()},
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
    """A network, and the graph that it learns."""

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
        train = torch.from_numpy(self.graph.train)
        optimiser = torch.optim.Adam(self.network.parameters(), lr=lr, weight_decay=_WEIGHT_DECAY)
        history: list[Epoch] = []
        best, better = 0, 0
        weights = copy.deepcopy(self.network.state_dict())
        for epoch in range(epochs):
            self.network.train()
            optimiser.zero_grad()
            scores = self.network(*self.inputs)
            loss = F.cross_entropy(scores[train], self.topics[train])
            if not bool(loss.isfinite()):
                raise NaiadError(
                    f"the loss is not finite any more, in epoch {epoch + 1}; try a smaller lr"
                )
            loss.backward()
            optimiser.step()
            now = Epoch(loss.item(), *self.judge(self.graph.validation))
            lowest = min((e.validation_loss for e in history), default=float("inf"))
            highest = max((e.validation_accuracy for e in history), default=-1.0)
            history.append(now)
            if progress is not None:
                progress(epoch, now)
            if now.validation_loss < lowest or now.validation_accuracy > highest:
                better = epoch
            if _rank(now) > _rank(history[best]) or epoch == 0:
                best = epoch
                weights = copy.deepcopy(self.network.state_dict())
            if epoch - better >= patience:
                break
        self.network.load_state_dict(weights)
        return history, best

    def judge(self, papers: Ints) -> tuple[float, float]:
        """Loss and accuracy on ``papers``."""
        self.network.eval()
        index = torch.from_numpy(papers)
        with torch.inference_mode():
            scores = self.network(*self.inputs)[index]
        topics = self.topics[index]
        right = (scores.argmax(dim=1) == topics).float().mean()
        return F.cross_entropy(scores, topics).item(), right.item()


def _rank(epoch: Epoch) -> tuple[float, float]:
    return epoch.validation_accuracy, -epoch.validation_loss


def _save(
    network: PygGat,
    graph: CitationGraph,
    folder: Path,
    result: Training,
    notice: str,
    provenance: Mapping[str, str],
) -> None:
    served = GatNet(network.architecture)
    served.load_state_dict(network.state_dict())
    held_out = (
        "none"
        if result.test_accuracy is None
        else f"accuracy {result.test_accuracy:.3f} on {result.papers['test']:,} papers"
    )
    card = GatCard(
        architecture=network.architecture,
        classes=graph.classes,
        trained_on=graph.source,
        notice=notice,
        provenance={**provenance, "held_out": held_out},
    )
    card.save_with(served, folder)
    report = asdict(result)
    curve: list[dict[str, float]] = report.pop("epochs")
    report = {"notice": notice, "trained_on": graph.source, **report}
    (folder / METRICS_FILE).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    with (folder / CURVE_FILE).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["epoch", *curve[0]])
        writer.writeheader()
        writer.writerows({"epoch": n, **epoch} for n, epoch in enumerate(curve, start=1))
