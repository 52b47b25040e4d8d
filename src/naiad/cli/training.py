"""What the commands that train a network print in the end."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from rich.markup import escape

from naiad.console import output, say
from naiad.tasks.reports import training_lines


class Epoch(Protocol):
    """How an epoch went."""

    @property
    def validation_accuracy(self) -> float:
        """0 to 1."""
        ...


def report_training(
    what: str,
    parts: Mapping[str, int],
    epochs: Sequence[Epoch],
    best: int,
    seconds: float,
    test_accuracy: float | None,
) -> None:
    """Print how a training went.

    Args:
        what: was learnt from, in the plural.
        parts: how many of those were in each part, by its name.
        epochs: all there were.
        best: the number of the one that is kept.
        seconds: that it took.
        test_accuracy: 0 to 1, if there was anything to test with.
    """
    accuracies = [epoch.validation_accuracy for epoch in epochs]
    for line in training_lines(what, parts, accuracies, best, seconds, test_accuracy):
        say(line)


def report_weights(directory: Path, model: str, notice: str = "") -> None:
    """Print where weights are, how to serve them, and what everybody must know of them."""
    folder = str(directory)
    say(
        f"wrote [bold]{escape(folder)}[/]; "
        f"serve it: naiad serve {model} --weights {escape(shlex.quote(folder))}"
    )
    if notice:
        output.print(f"[yellow]{escape(notice)}[/]", highlight=False)
