"""Training of NuGraph networks on an event file with truth.

Learns the network's tasks at once, as in the NuGraph papers: each hit's class, signal or background
of each hit and, with NuGraph3, the event's class and its vertex. One core is enough for small
files.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from naiad.applications.nugraph.card import (
    Architecture,
    NuGraph2Architecture,
    NuGraph2Card,
    NuGraph3Card,
    NuGraphCard,
)
from naiad.applications.nugraph.dataset import Graph, load_graphs, merge, split_events
from naiad.applications.nugraph.labels import (
    BACKGROUND,
    EVENT_CLASSES,
    NUGRAPH2_CLASS_OF,
    NUGRAPH2_CLASSES,
    SEMANTIC_CLASSES,
    as_classes,
)
from naiad.applications.nugraph.metrics import Metrics
from naiad.applications.nugraph.model import Block, NuGraph3Net
from naiad.applications.nugraph.nugraph2_model import NuGraph2Net
from naiad.applications.nugraph.schema import PLANES
from naiad.applications.nugraph.weights import save_weights
from naiad.card import Evaluation
from naiad.errors import InvalidInput, MissingExtra

try:
    import torch
    from torch import nn
    from torch.nn import functional as F
except ImportError as error:
    raise MissingExtra("nugraph3-train", error.name or "torch") from error

from naiad.applications.training import fit, seeded, step, write_report

PerPlane = dict[str, list[float]]

# Weight of each task's loss, and the vertex error, in cm, at which its loss turns linear.
_SEMANTIC, _FILTER, _EVENT, _VERTEX = 1.0, 1.0, 0.5, 0.2
_VERTEX_SCALE: Final = 30.0
_WEIGHT_DECAY: Final = 1e-2
_GRADIENT_NORM: Final = 1.0


Net = NuGraph2Net | NuGraph3Net


@dataclass(frozen=True, slots=True)
class Recipe:
    """A kind of network, as it is trained.

    Attributes:
        network: makes one of an architecture, with its first weights.
        architecture: by default.
        card: makes the card of a trained network of the fields that all have.
        semantic_classes: of hits.
        class_of: the class of hits with each of `SEMANTIC_CLASSES`.
        event_classes: empty if the network has neither event nor vertex head.
    """

    network: Callable[[Any], Net]
    architecture: Architecture | NuGraph2Architecture
    card: Callable[..., NuGraphCard]
    semantic_classes: tuple[str, ...]
    class_of: Sequence[int]
    event_classes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Progress:
    """The state passed to ``progress`` after each batch; losses are running means."""

    epoch: int
    epochs: int
    batch: int
    batches: int
    loss: float
    validation_loss: float | None


@dataclass(frozen=True, slots=True)
class Training:
    """Results of a training; `metrics` are those of the held-out test events."""

    metrics: dict[str, Any]
    losses: list[float]
    validation_losses: list[float]
    best_epoch: int
    events: dict[str, int]
    seconds: float


def train(
    events: Path | str,
    out_dir: Path | str,
    *,
    epochs: int = 10,
    batch_events: int = 16,
    lr: float = 2e-3,
    seed: int = 0,
    patience: int = 3,
    validation_fraction: float = 0.1,
    test_fraction: float = 0.1,
    threads: int = 1,
    recipe: Recipe | None = None,
    architecture: Architecture | NuGraph2Architecture | None = None,
    notice: str = "trained on simulated events, not for physics",
    command: str = "",
    progress: Callable[[Progress], None] | None = None,
) -> Training:
    """Train a network on ``events`` and write its weights, as a folder, to ``out_dir``.

    ``recipe`` is `NUGRAPH2` or `NUGRAPH3`, the default; ``architecture`` is one of its network.

    AdamW with one cycle of the learning rate up to ``lr``; stops early when the validation loss has
    not improved for ``patience`` epochs, and keeps the best epoch. ``seed`` splits the file by
    event. Prepared events are held in memory, about 80 kB for one of 200 hits. ``command`` and
    ``notice`` are recorded beside the weights.

    Raises `InvalidInput` for a file without truth or with too few events to split, and `NaiadError`
    if the loss becomes infinite or NaN.
    """
    started = time.monotonic()
    recipe = recipe or NUGRAPH3
    graphs = [relabelled(graph, recipe) for graph in load_graphs(events)]
    parts = split_events(len(graphs), validation_fraction, test_fraction, seed)
    training, validation, test = ([graphs[i] for i in part] for part in parts)
    with _threads(threads), seeded(seed):
        network = recipe.network(architecture or recipe.architecture)
        network.set_normalisation(*_normalisation(training))
        learner = _Learner(network, recipe, training, batch_events)
        losses, best = learner.fit(training, validation, epochs, lr, seed, patience, progress)
        learner.fold()
        metrics = evaluate(network, test, batch_events, recipe)
    counts = {"training": len(training), "validation": len(validation), "test": len(test)}
    result = Training(
        metrics=metrics,
        losses=[loss for loss, _ in losses],
        validation_losses=[loss for _, loss in losses],
        best_epoch=best,
        events=counts,
        seconds=time.monotonic() - started,
    )
    facts = {"events": Path(events).name, "seed": str(seed), "command": command}
    save(network, recipe, Path(out_dir), result, notice=notice, provenance=facts)
    return result


def save(
    network: Net,
    recipe: Recipe,
    folder: Path,
    result: Training,
    *,
    notice: str,
    provenance: Mapping[str, str],
) -> None:
    """Write a trained network as a folder of weights, with ``metrics.json`` beside them.

    The held-out metrics are also in the card's ``provenance``, in words.
    """
    mean, std = (
        {
            plane: tuple(network.get_buffer(f"{kind}_{plane}").tolist())
            for plane in network.arch.planes
        }
        for kind in ("mean", "std")
    )
    metrics = result.metrics
    held_out = (
        f"semantic accuracy {metrics['semantic_accuracy']}, filter accuracy "
        f"{metrics['filter_accuracy']}"
    )
    if recipe.event_classes:
        held_out += (
            f", event accuracy {metrics['event_accuracy']}, vertex "
            f"{metrics['vertex_median_cm']} cm (median)"
        )
    card = recipe.card(
        architecture=network.arch,
        semantic_classes=recipe.semantic_classes,
        mean=mean,
        std=std,
        notice=notice,
        evaluations=_evaluations(metrics, provenance.get("events", "")),
        provenance={
            **provenance,
            **{f"{part}_events": str(count) for part, count in result.events.items()},
            "held_out": f"{held_out}, on {metrics['events']} events",
        },
    )
    save_weights(network, card, folder)
    write_report(folder, {"notice": notice, **asdict(result)})


def _evaluations(metrics: Mapping[str, Any], data: str) -> tuple[Evaluation, ...]:
    """Return the held-out metrics for the model card; ``data`` is the file of events."""
    count = metrics["events"]
    accuracies = [
        Evaluation(name=f"{part} accuracy", value=value, split="test", data=data, count=count)
        for part in ("semantic", "filter", "event")
        if (value := metrics.get(f"{part}_accuracy")) is not None
    ]
    if (distance := metrics.get("vertex_median_cm")) is None:
        return tuple(accuracies)
    vertex = Evaluation(
        name="median distance of the vertex",
        kind="median-distance",
        value=distance,
        unit="cm",
        split="test",
        data=data,
        count=count,
    )
    return (*accuracies, vertex)


def evaluate(
    network: Net, graphs: Sequence[Graph], batch_events: int, recipe: Recipe | None = None
) -> dict[str, Any]:
    """Return the network's metrics on ``graphs``; see `Metrics.summary`.

    Their labels are those of the ``recipe``, by default `NUGRAPH3`.
    """
    recipe = recipe or NUGRAPH3
    metrics = Metrics(recipe.semantic_classes, recipe.event_classes)
    with torch.inference_mode():
        for chunk in _chunks(graphs, batch_events):
            batch, truth = merge(chunk)
            outputs = network(batch, batch.requests)
            metrics.add({name: output.numpy() for name, output in outputs.items()}, truth)
    return metrics.summary()


class _Learner:
    """The losses, with their statistics of the training events."""

    def __init__(
        self, network: Net, recipe: Recipe, training: Sequence[Graph], batch_events: int
    ) -> None:
        self.network = network
        self.batch_events = batch_events
        events = np.concatenate([graph.truth["y_event"] for graph in training])
        self.event_weight = _balance(events, len(EVENT_CLASSES), 0.5)
        labels = np.concatenate(
            [graph.truth[f"y_semantic_{plane}"] for graph in training for plane in PLANES]
        )
        self.semantic_weight = _balance(labels, len(recipe.semantic_classes), 0.5)
        vertices = np.concatenate([graph.truth["y_vertex"] for graph in training])
        self.vertex_mean = torch.from_numpy(vertices.mean(axis=0))
        self.vertex_std = torch.from_numpy(np.maximum(vertices.std(axis=0), 1.0))

    def loss(self, graphs: Sequence[Graph]) -> torch.Tensor:
        """Return the sum of the losses of a batch."""
        batch, arrays = merge(graphs)
        truth = {name: torch.from_numpy(array) for name, array in arrays.items()}
        outputs = self.network(batch, batch.requests)
        semantic = torch.cat([outputs[f"x_semantic_{plane}"] for plane in PLANES])
        label = torch.cat([truth[f"y_semantic_{plane}"] for plane in PLANES])
        signal = label != BACKGROUND
        kept = torch.cat([outputs[f"x_filter_{plane}"] for plane in PLANES])
        loss = _SEMANTIC * _cross_entropy(
            semantic, label, self.semantic_weight
        ) + _FILTER * _binary_cross_entropy(kept, signal)
        if "e_evt" in outputs:
            loss = loss + _EVENT * _cross_entropy(
                outputs["e_evt"], truth["y_event"], self.event_weight
            )
        if "v_evt" in outputs:
            position = outputs["v_evt"] * self.vertex_std + self.vertex_mean
            away = (position - truth["y_vertex"]) / _VERTEX_SCALE
            loss = loss + _VERTEX * F.smooth_l1_loss(away, torch.zeros_like(away))
        return loss

    def fit(
        self,
        training: Sequence[Graph],
        validation: Sequence[Graph],
        epochs: int,
        lr: float,
        seed: int,
        patience: int,
        progress: Callable[[Progress], None] | None,
    ) -> tuple[list[tuple[float, float]], int]:
        """Train until the epochs are over, or patience is; the network keeps the best weights.

        Returns:
            The losses of each epoch on the training and on the validation events, and the number
            of the best epoch.
        """
        batches = -(-len(training) // self.batch_events)
        optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=lr, weight_decay=_WEIGHT_DECAY, betas=(0.9, 0.98)
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, max_lr=lr, total_steps=epochs * batches, pct_start=0.2
        )
        optimiser.register_step_pre_hook(self._clip)
        rng = np.random.default_rng(seed)
        last: float | None = None

        def epoch(number: int) -> tuple[float, float]:
            nonlocal last
            total, seen = 0.0, 0
            order = [training[i] for i in rng.permutation(len(training))]
            self.network.train()
            for batch, chunk in enumerate(_chunks(order, self.batch_events), start=1):
                loss = step(self.loss(chunk), optimiser, schedule)
                total, seen = total + loss * len(chunk), seen + len(chunk)
                if progress is not None:
                    progress(Progress(number, epochs, batch, batches, total / seen, last))
            last = self._mean_loss(validation)
            return total / seen, last

        found = fit(self.network, epoch, epochs, lambda losses: (-losses[1],), patience=patience)
        self.network.eval()
        return found

    def _clip(self, *_: Any) -> None:
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), _GRADIENT_NORM)

    def fold(self) -> None:
        """Move the vertex's scale into its decoder, if there is one, which then answers in cm."""
        if not isinstance(self.network, NuGraph3Net):
            return
        linear = cast(nn.Linear, self.network.vertex_decoder.net)
        with torch.no_grad():
            linear.weight.mul_(self.vertex_std[:, None])
            linear.bias.mul_(self.vertex_std).add_(self.vertex_mean)

    def _mean_loss(self, graphs: Sequence[Graph]) -> float:
        self.network.eval()
        with torch.inference_mode():
            chunks = _chunks(graphs, self.batch_events)
            return sum(self.loss(chunk).item() * len(chunk) for chunk in chunks) / len(graphs)


def _cross_entropy(
    scores: torch.Tensor, labels: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:
    """Return the weighted cross-entropy over the rows with a label; 0 without any."""
    known = labels >= 0
    if not bool(known.any()):
        return scores.sum() * 0.0
    return F.cross_entropy(scores[known], labels[known], weight=weight)


def _binary_cross_entropy(probability: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    # torch's own raises on NaN, which should instead be reported as a diverged loss.
    return -torch.where(labels, probability, 1.0 - probability).clamp_min(1e-6).log().mean()


def _balance(labels: NDArray[np.int64], classes: int, power: float) -> torch.Tensor:
    """Return each class's weight: its frequency to the ``-power``, with a mean of 1 over rows.

    Rare classes weigh more, so that their recall is not sacrificed to common ones.
    """
    counts = np.bincount(labels[labels >= 0], minlength=classes).astype(np.float64)
    weight = np.maximum(counts, 1.0) ** -power
    weight *= counts.sum() / max(float((weight * counts).sum()), 1e-9)
    return torch.from_numpy(weight.astype(np.float32))


def _nugraph3(architecture: Architecture) -> NuGraph3Net:
    """Start from weights that keep the size of features through all blocks and iterations.

    He et al. (arXiv:1502.01852). With torch's default, features shrink in each of the dozens of
    layers, without residual connections or normalisation, and learning takes long to start.
    """
    network = NuGraph3Net(architecture)
    for block in network.modules():
        if isinstance(block, Block):
            for layer in block.net:
                if isinstance(layer, nn.Linear):
                    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                    nn.init.zeros_(layer.bias)
    return network


def _nugraph3_card(**fields: Any) -> NuGraph3Card:
    return NuGraph3Card(event_classes=EVENT_CLASSES, **fields)


NUGRAPH3: Final = Recipe(
    network=_nugraph3,
    architecture=Architecture(),
    card=_nugraph3_card,
    semantic_classes=SEMANTIC_CLASSES,
    class_of=range(len(SEMANTIC_CLASSES)),
    event_classes=EVENT_CLASSES,
)
NUGRAPH2: Final = Recipe(
    network=NuGraph2Net,
    architecture=NuGraph2Architecture(),
    card=NuGraph2Card,
    semantic_classes=NUGRAPH2_CLASSES,
    class_of=NUGRAPH2_CLASS_OF,
)


def relabelled(graph: Graph, recipe: Recipe) -> Graph:
    """Return a graph whose hits have the classes of the recipe's network."""
    labels = {
        name: as_classes(values, recipe.class_of) if name.startswith("y_semantic") else values
        for name, values in graph.truth.items()
    }
    return replace(graph, truth=labels)


def _normalisation(
    graphs: Sequence[Graph],
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Return mean and spread of each plane's features over the hits of ``graphs``."""
    mean: PerPlane = {}
    std: PerPlane = {}
    for plane in PLANES:
        features = np.concatenate([graph.sample[f"x_{plane}"] for graph in graphs])
        if len(features) < 2:
            raise InvalidInput(f"the training events have no hits on plane {plane} to learn from")
        mean[plane] = features.mean(axis=0, dtype=np.float64).tolist()
        std[plane] = np.maximum(features.std(axis=0, dtype=np.float64), 1e-3).tolist()
    return mean, std


def _chunks(graphs: Sequence[Graph], size: int) -> Iterator[Sequence[Graph]]:
    for start in range(0, len(graphs), size):
        yield graphs[start : start + size]


@contextmanager
def _threads(count: int) -> Generator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
