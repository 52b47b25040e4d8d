"""The tasks of NuGraph2 and NuGraph3, with what makes their events and weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from naiad.applications.nugraph.event_task import NuGraphTask
from naiad.applications.nugraph.heads import NUGRAPH2_HEADS, Labels
from naiad.applications.nugraph.labels import EVENT_CLASSES, NUGRAPH2_CLASSES, SEMANTIC_CLASSES
from naiad.applications.nugraph.result_columns import table_columns
from naiad.tasks.task import Advance, ImportsWeights, Simulates, Trains

if TYPE_CHECKING:
    from naiad.applications.nugraph.events import Event


class EventSize(str, Enum):
    """Size of simulated events."""

    small = "small"
    large = "large"


class _Maker(Simulates["Event"], Trains, ImportsWeights):
    """What is made for a network: simulated events, and weights, trained or imported."""

    simulated, simulated_output = "events", "events.h5"
    imported_as = ("nugraph",)

    recipe: ClassVar[str]
    """Name in :mod:`naiad.applications.nugraph.train` of how the network is trained."""

    @dataclass(frozen=True)
    class SimulateOptions:
        """Options of simulated events."""

        size: EventSize = field(
            default=EventSize.small, metadata={"help": "About 200 or 1,300 hits per event."}
        )

    @dataclass(frozen=True)
    class TrainOptions:
        """Options of the training."""

        events: Path = field(metadata={"help": "Events with truth, HDF5.", "metavar": "FILE"})
        epochs: int = field(default=10, metadata={"help": "Maximum number of epochs.", "min": 1})
        batch: int = field(default=16, metadata={"help": "Events per step.", "min": 1})
        lr: float = field(default=2e-3, metadata={"help": "Largest learning rate.", "min": 0.0})
        patience: int = field(
            default=3,
            metadata={"help": "Stop after this number of epochs without improvement.", "min": 1},
        )
        seed: int = field(
            default=0, metadata={"help": "Seed of the split and the initial weights.", "min": 0}
        )
        threads: int = field(default=1, metadata={"help": "Number of torch threads.", "min": 1})
        notice: str = field(
            default="trained on simulated events, not for physics",
            metadata={"help": "Notice for every user of the weights."},
        )

    @dataclass(frozen=True)
    class ImportOptions:
        """Options of the import."""

        normalisation: Path | None = field(
            default=None,
            metadata={
                "help": "JSON with mean and std of each plane's features; by default those of the "
                "public MicroBooNE data set.",
                "metavar": "FILE",
            },
        )
        notice: str = field(default="", metadata={"help": "Notice for every user of the weights."})

    def simulate(self, number: int, seed: int, options: Any) -> Iterator[tuple[str, Event]]:
        """Yield simulated events."""
        from naiad.applications.nugraph.simulate import simulate

        for event in simulate(number, seed, size=options.size.value):
            yield event.name, event

    def save(self, units: Iterator[tuple[str, Event]], path: Path, advance: Advance) -> None:
        """Write a file of events."""
        from naiad.applications.nugraph.events import write_events

        write_events(
            path, (event for _, event in units), progress=lambda done: advance(done, None, None)
        )

    def train(self, output: Path, options: Any, command: str, advance: Advance) -> Iterable[str]:
        """Train on a file of events with truth."""
        from naiad.applications.nugraph import train as training
        from naiad.applications.nugraph.report import training_lines
        from naiad.applications.nugraph.train import Progress, train

        def show(step: Progress) -> None:
            best = "" if step.validation_loss is None else f", held out {step.validation_loss:.3f}"
            advance(
                step.epoch * step.batches + step.batch,
                step.epochs * step.batches,
                f"epoch {step.epoch + 1} of {step.epochs}, loss {step.loss:.3f}{best}",
            )

        result = train(
            options.events,
            output,
            recipe=getattr(training, self.recipe),
            epochs=options.epochs,
            batch_events=options.batch,
            lr=options.lr,
            seed=options.seed,
            patience=options.patience,
            threads=options.threads,
            notice=options.notice,
            command=command,
            progress=show,
        )
        return training_lines(result)

    def import_weights(self, source: Path, output: Path, options: Any) -> Iterable[str]:
        """Turn a Lightning checkpoint of NuGraph2 or NuGraph3 into a folder of weights.

        Which network it is of, and its sizes, are read from the checkpoint. Nothing in
        it is run: only tensors and plain values are read, and a checkpoint with
        anything else is refused.

        [bold]Examples[/]

          naiad weights import nugraph FILE.ckpt -o weights/
          naiad weights import nugraph3 hierarchical.ckpt -o nugraph3-weights/
          naiad serve nugraph3 --weights nugraph3-weights/
        """
        from naiad.applications.nugraph.weights import import_checkpoint, summary

        card = import_checkpoint(
            source, output, normalisation=options.normalisation, notice=options.notice
        )
        return (summary(card),)

    def served_as(self, weights: Path, options: Any) -> str:
        """Return the name of the application that serves weights, by their card."""
        from naiad.applications.nugraph.card import read_any_card

        return read_any_card(weights).application


class NuGraph3Task(NuGraphTask, _Maker):
    """Label hits, classify events and find vertices with a served NuGraph3.

    Prints up to three events in full, up to ten in a line each with a summary,
    and a summary of more. Result files have a row per hit; HDF5 files have
    pynuml's layout.

    [bold]Examples[/]

      naiad infer nugraph3 events.h5
      naiad infer nugraph3 events.h5 --events 0:10 --plot pictures/
      naiad infer nugraph3 events.h5 -o results.parquet --concurrency 16
      naiad infer nugraph3 events.h5 --url grpc://gpu-server:8001 -o results.h5
      naiad infer nugraph3 events.h5 -o results.root --truth
      naiad infer nugraph3 events.h5 --local
    """

    name, model = "nugraph3", "nugraph3"
    summary = "semantic labels, event class and vertex of a neutrino event in a LArTPC"
    pipeline = "naiad.applications.nugraph.pipeline:NuGraph3"
    demos = {"nugraph3": "naiad.applications.nugraph.demo:run"}
    showcase = True
    defaults = Labels(SEMANTIC_CLASSES, EVENT_CLASSES)
    columns = table_columns(defaults)
    recipe = "NUGRAPH3"

    def simulate(self, number: int, seed: int, options: Any) -> Iterator[tuple[str, Event]]:
        """Simulate neutrino events in a liquid-argon detector, with truth, for tests and training.

        A toy, not for physics: tracks and showers from a vertex, cosmic rays and
        noise, on three wire planes. The file has pynuml's layout.

        [bold]Examples[/]

          naiad simulate nugraph3 -n 1000 -o events.h5 --seed 7
          naiad simulate nugraph3 -n 50 -o large.h5 --size large
        """
        return super().simulate(number, seed, options)

    def train(self, output: Path, options: Any, command: str, advance: Advance) -> Iterable[str]:
        """Train NuGraph3 on a file of events with truth; a tenth of them is held out for testing.

        [bold]Examples[/]

          naiad simulate nugraph3 -n 5000 -o events.h5
          naiad train nugraph3 --events events.h5 -o my-weights/
          naiad serve nugraph3 --weights my-weights/
        """
        return super().train(output, options, command, advance)


class _NuGraph2Task(NuGraphTask):
    """What the tasks of NuGraph2 under its two names share."""

    defaults = Labels(NUGRAPH2_CLASSES, heads=NUGRAPH2_HEADS, title="NuGraph2")
    columns = table_columns(defaults)


class NuGraph2Task(_NuGraph2Task, _Maker):
    """Label hits with a served NuGraph2: MIP, HIP, shower, michel, diffuse; signal or not.

    Prints up to three events in full, up to ten in a line each with a summary,
    and a summary of more. Result files have a row per hit; HDF5 files have
    pynuml's layout.

    [bold]Examples[/]

      naiad infer nugraph2 events.h5
      naiad infer nugraph2 events.h5 --events 0:10 --plot pictures/
      naiad infer nugraph2 events.h5 -o results.parquet --concurrency 16
      naiad infer nugraph2 events.h5 -o results.root --truth
      naiad infer nugraph2 events.h5 --local
    """

    name, model = "nugraph2", "nugraph2"
    summary = "semantic labels of the hits of a neutrino event, by the model LArSoft asks for"
    pipeline = "naiad.applications.nugraph.nugraph2_pipeline:NuGraph2"
    recipe = "NUGRAPH2"

    def simulate(self, number: int, seed: int, options: Any) -> Iterator[tuple[str, Event]]:
        """Simulate neutrino events in a liquid-argon detector, as `naiad simulate nugraph3` does.

        A toy, not for physics. Files of events are the same for all NuGraph networks.

        [bold]Examples[/]

          naiad simulate nugraph2 -n 1000 -o events.h5 --seed 7
        """
        return super().simulate(number, seed, options)

    def train(self, output: Path, options: Any, command: str, advance: Advance) -> Iterable[str]:
        """Train NuGraph2 on a file of events with truth; a tenth of them is held out for testing.

        Pions and muons are MIP, kaons and hadrons are HIP.

        [bold]Examples[/]

          naiad simulate nugraph2 -n 5000 -o events.h5
          naiad train nugraph2 --events events.h5 -o my-weights/
          naiad serve nugraph2 --weights my-weights/
        """
        return super().train(output, options, command, advance)


class NuGraph2CpuTask(_NuGraph2Task):
    """Label hits with a NuGraph2 that is served as `nugraph2_cpu`.

    [bold]Examples[/]

      naiad infer nugraph2_cpu events.h5
      naiad infer nugraph2_cpu events.h5 -o results.parquet
    """

    name, model = "nugraph2_cpu", "nugraph2_cpu"
    summary = "the same under another name that LArSoft asks for, always on a CPU"
    pipeline = "naiad.applications.nugraph.nugraph2_pipeline:NuGraph2Cpu"
    on_request = True
