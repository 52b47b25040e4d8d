#!/usr/bin/env python
"""Make the NuGraph weights and the example events that come with Naiad.

    python scripts/train_nugraph_default.py nugraph2
    python scripts/train_nugraph_default.py nugraph3

Simulates events, trains for about 10 minutes (nugraph2) or 20 minutes (nugraph3) on one core, and
writes src/naiad/applications/nugraph/data/. The results are toys for trying Naiad, not for physics:
networks half as wide as the public ones and with 3 iterations in place of 5, which learn more in
this time. The seeds are fixed; floating-point results of other processors may differ slightly.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from describe_defaults import DEFAULTS as ABOUT
from describe_defaults import describe
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from naiad.applications.nugraph.card import Architecture, NuGraph2Architecture
from naiad.applications.nugraph.events import write_events
from naiad.applications.nugraph.simulate import simulate
from naiad.applications.nugraph.train import NUGRAPH2, NUGRAPH3, Recipe, train
from naiad.applications.nugraph.train import Progress as Step

DATA = Path(__file__).parents[1] / "src" / "naiad" / "applications" / "nugraph" / "data"
SEED = 20240607


@dataclass(frozen=True, slots=True)
class Default:
    """How the weights of a model are made."""

    recipe: Recipe
    architecture: Architecture | NuGraph2Architecture
    folder: str
    events: int
    epochs: int
    lr: float


DEFAULTS: Final = {
    "nugraph2": Default(
        recipe=NUGRAPH2,
        architecture=NuGraph2Architecture(planar_features=32, num_iters=3),
        folder="nugraph2_weights",
        events=2500,
        epochs=7,
        lr=6e-3,
    ),
    "nugraph3": Default(
        recipe=NUGRAPH3,
        architecture=Architecture(planar_features=64, num_iters=3),
        folder="weights",
        events=8000,
        epochs=7,
        lr=2e-3,
    ),
}
# Five events with hits of every class, not in the training data.
EXAMPLE_EVENTS, EXAMPLE_SEED = 5, 15


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", choices=DEFAULTS)
    parser.add_argument("--output", type=Path, default=DATA, help="where to write")
    parser.add_argument("--events", type=Path, help="train on this file, created if missing")
    arguments = parser.parse_args()
    default = DEFAULTS[arguments.model]
    arguments.output.mkdir(parents=True, exist_ok=True)
    if not (example := arguments.output / "example.h5").exists():
        write_events(example, simulate(EXAMPLE_EVENTS, EXAMPLE_SEED))
    with tempfile.TemporaryDirectory() as scratch, bars() as progress:
        events = arguments.events or Path(scratch) / "events.h5"
        if not events.exists():
            task = progress.add_task("simulate", total=default.events)
            write_events(
                events,
                simulate(default.events, SEED),
                progress=lambda done: progress.update(task, completed=done),
            )
        task = progress.add_task("train")

        def show(step: Step) -> None:
            progress.update(
                task,
                description=f"train: epoch {step.epoch + 1}, loss {step.loss:.3f}",
                completed=step.epoch * step.batches + step.batch,
                total=step.epochs * step.batches,
            )

        result = train(
            events,
            arguments.output / default.folder,
            recipe=default.recipe,
            architecture=default.architecture,
            epochs=default.epochs,
            batch_events=8,
            lr=default.lr,
            seed=1,
            validation_fraction=0.05,
            test_fraction=0.1,
            notice="trained on simulated events, not for physics",
            command=f"python scripts/train_nugraph_default.py {arguments.model}",
            progress=show,
        )
    about = ABOUT[f"nugraph/data/{default.folder}"]
    describe(arguments.output / default.folder, about, data="simulated events")
    console = Console()
    console.print(f"{result.seconds:.0f} s, best epoch {result.best_epoch + 1}, {result.events}")
    console.print_json(data=result.metrics)


def bars() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    )


if __name__ == "__main__":
    main()
