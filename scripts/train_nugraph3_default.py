#!/usr/bin/env python
"""Make the NuGraph3 weights and the example events that come with Naiad.

    python scripts/train_nugraph3_default.py

Simulates 8,000 events, trains for about 20 minutes on one core, and writes
src/naiad/applications/nugraph/data/. The result is a toy for trying Naiad, not for physics: a
network half as wide as the public NuGraph3 and with 3 iterations in place of 5, which learns more
in this time. The seeds are fixed; floating-point results of other processors may differ slightly.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from naiad.applications.nugraph.events import write_events
from naiad.applications.nugraph.model import Architecture
from naiad.applications.nugraph.simulate import simulate
from naiad.applications.nugraph.train import Progress as Step
from naiad.applications.nugraph.train import train

DATA = Path(__file__).parents[1] / "src" / "naiad" / "applications" / "nugraph" / "data"
EVENTS = 8000
SEED = 20240607
# Five events with hits of every class, not in the training data.
EXAMPLE_EVENTS, EXAMPLE_SEED = 5, 15


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=DATA, help="where to write")
    parser.add_argument("--events", type=Path, help="train on this file, created if missing")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    write_events(arguments.output / "example.h5", simulate(EXAMPLE_EVENTS, EXAMPLE_SEED))
    with tempfile.TemporaryDirectory() as scratch, bars() as progress:
        events = arguments.events or Path(scratch) / "events.h5"
        if not events.exists():
            task = progress.add_task("simulate", total=EVENTS)
            write_events(
                events,
                simulate(EVENTS, SEED),
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
            arguments.output / "weights",
            epochs=7,
            batch_events=8,
            lr=2e-3,
            seed=1,
            validation_fraction=0.05,
            test_fraction=0.1,
            architecture=Architecture(planar_features=64, num_iters=3),
            notice="trained on simulated events, not for physics",
            command="python scripts/train_nugraph3_default.py",
            progress=show,
        )
    console = Console()
    console.print(f"{result.seconds:.0f} s, best epoch {result.best_epoch + 1}, {result.events}")
    console.print_json(data=result.metrics)


def bars() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    )


if __name__ == "__main__":
    main()
