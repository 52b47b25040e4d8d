"""Training loops: seeds, steps, epochs with early stopping, and the report beside the weights."""

from __future__ import annotations

import copy
import csv
import json
import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Generic, Protocol, TypeVar

import torch

from naiad.card import Evaluation
from naiad.errors import NaiadError

METRICS_FILE: Final = "metrics.json"
CURVE_FILE: Final = "curve.csv"
"""The report of a training and its epochs, beside the weights."""


class _Judged(Protocol):
    @property
    def loss(self) -> float: ...

    @property
    def validation_accuracy(self) -> float: ...


def accuracy(value: float, data: str, count: int, of: str = "") -> tuple[Evaluation, ...]:
    """Return the evaluations of a card for an accuracy on ``count`` test units of ``data``."""
    name = f"accuracy{of}"
    return (Evaluation(name=name, value=round(value, 4), split="test", data=data, count=count),)


Epoch = TypeVar("Epoch")
JudgedEpoch = TypeVar("JudgedEpoch", bound=_Judged)


@dataclass(frozen=True, slots=True)
class Training(Generic[JudgedEpoch]):
    """The course of a training.

    Attributes:
        test_accuracy: on the test units, if there were any.
        best_epoch: number of the epoch whose weights were kept, from 0.
        parts: number of units in each part of the data.
        seconds: of the whole training.
        epochs: one by one.
    """

    test_accuracy: float | None
    best_epoch: int
    parts: Mapping[str, int]
    seconds: float
    epochs: Sequence[JudgedEpoch]

    def held_out(self, unit: str) -> str:
        """Return the accuracy on the test units, in words."""
        if self.test_accuracy is None:
            return "none"
        return f"accuracy {self.test_accuracy:.3f} on {self.parts['test']:,} {unit}"

    def evaluations(self, unit: str, data: str) -> tuple[Evaluation, ...]:
        """Return the accuracy on the test units for the model card, if there were any."""
        if self.test_accuracy is None:
            return ()
        return accuracy(self.test_accuracy, data, self.parts["test"], of=f" on {unit}")

    def lines(self, unit: str) -> Iterator[str]:
        """Yield the lines to print at the end; ``unit`` is the plural name of a unit."""
        counts = ", ".join(f"{count:,} {part}" for part, count in self.parts.items())
        yield f"{unit}: {counts}; {len(self.epochs):,} epochs in {self.seconds:.0f} s"
        best = self.epochs[self.best_epoch].validation_accuracy
        yield f"epoch {self.best_epoch + 1}: validation accuracy {best:.3f}"
        if self.test_accuracy is not None:
            yield f"test accuracy {self.test_accuracy:.3f}"

    def write(self, folder: Path, unit: str, facts: Mapping[str, str]) -> None:
        """Write the report, which begins with ``facts``, and the epochs as a table."""
        report = asdict(self)
        curve: list[dict[str, float]] = report.pop("epochs")
        named = {unit if key == "parts" else key: value for key, value in report.items()}
        write_report(folder, {**facts, **named})
        with (folder / CURVE_FILE).open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, ["epoch", *curve[0]])
            writer.writeheader()
            writer.writerows({"epoch": n, **epoch} for n, epoch in enumerate(curve, start=1))


def write_report(folder: Path, report: Mapping[str, Any]) -> None:
    """Write the report of a training beside its weights."""
    (folder / METRICS_FILE).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def show_epochs(
    advance: Callable[[int, int | None, str | None], None], epochs: int
) -> Callable[[int, _Judged], None]:
    """Return a progress callback that moves a bar with every epoch."""

    def show(number: int, epoch: _Judged) -> None:
        label = f"loss {epoch.loss:.3f}, validation {epoch.validation_accuracy:.1%}"
        advance(number + 1, epochs, label)

    return show


@contextmanager
def seeded(seed: int) -> Generator[None]:
    """Seed torch's random numbers, and restore those of the caller at the end."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def step(
    loss: torch.Tensor,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler | None = None,
) -> float:
    """Take one step of the optimiser, and of the schedule; return the loss.

    Raises:
        FloatingPointError: the loss is not finite.
    """
    value = loss.item()
    if not math.isfinite(value):
        raise FloatingPointError("the loss is not finite any more")
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    if schedule is not None:
        schedule.step()
    return value


def fit(
    network: torch.nn.Module,
    train: Callable[[int], Epoch],
    epochs: int,
    scores: Callable[[Epoch], tuple[float, ...]],
    *,
    patience: float = math.inf,
    progress: Callable[[int, Epoch], None] | None = None,
) -> tuple[list[Epoch], int]:
    """Train epoch by epoch, and leave the network with the weights of the best one.

    Args:
        network: what is trained.
        train: trains the epoch of a number, from 0.
        epochs: maximum number of epochs.
        scores: of an epoch, higher is better; a later score decides where earlier ones are equal.
        patience: number of epochs after which to stop if no score exceeds all earlier ones.
        progress: called with each epoch and its number.

    Returns:
        The epochs, and the number of the best.

    Raises:
        NaiadError: the loss does not stay finite.
    """
    history: list[Epoch] = []
    ranks: list[tuple[float, ...]] = []
    best = improved = 0
    weights = copy.deepcopy(network.state_dict())
    for number in range(epochs):
        try:
            epoch = train(number)
        except FloatingPointError as error:
            raise NaiadError(f"{error}, in epoch {number + 1}; try a smaller lr") from None
        if progress is not None:
            progress(number, epoch)
        rank = scores(epoch)
        if all(rank > earlier for earlier in ranks):
            best = number
            weights = copy.deepcopy(network.state_dict())
        if any(all(score > r[place] for r in ranks) for place, score in enumerate(rank)):
            improved = number
        history.append(epoch)
        ranks.append(rank)
        if number - improved >= patience:
            break
    network.load_state_dict(weights)
    return history, best
