"""The NuGraph3 task: files of neutrino events in; labels, classes and vertices out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from naiad.applications.nugraph.heads import Labels
from naiad.applications.nugraph.labels import EVENT_CLASSES, SEMANTIC_CLASSES
from naiad.applications.nugraph.result_columns import facts, table_columns
from naiad.core.pipeline import Request
from naiad.core.schema import Arrays
from naiad.tasks.task import (
    Advance,
    Column,
    Draws,
    Found,
    ImportsWeights,
    Json,
    Opens,
    Reports,
    Rows,
    Simulates,
    Source,
    Task,
    Trains,
)

if TYPE_CHECKING:
    from naiad.applications.nugraph.events import Event
    from naiad.applications.nugraph.report import EventReport
    from naiad.applications.nugraph.results import NuGraphResult

_HDF5: Final = "naiad.applications.nugraph.result_files:Hdf5Writer"


class EventSize(str, Enum):
    """Size of simulated events."""

    small = "small"
    large = "large"


class NuGraph3Task(
    Task["Event", "NuGraphResult"],
    Opens["Event"],
    Reports,
    Draws,
    Simulates["Event"],
    Trains,
    ImportsWeights,
):
    """Label hits, classify events and find vertices with a served NuGraph3.

    Prints up to three events one by one, or a summary of more. Result files
    have a row per hit; HDF5 files have pynuml's layout.

    [bold]Examples[/]

      naiad infer nugraph3 events.h5
      naiad infer nugraph3 events.h5 --events 0:10 --plot pictures/
      naiad infer nugraph3 events.h5 -o results.parquet --concurrency 16
      naiad infer nugraph3 events.h5 --url grpc://gpu-server:8001 -o results.h5
      naiad infer nugraph3 events.h5 --local
    """

    name, model = "nugraph3", "nugraph3"
    summary = "semantic labels, event class and vertex of a neutrino event in a LArTPC"
    pipeline = "naiad.applications.nugraph.pipeline:NuGraph3"
    demos = {"nugraph3": "naiad.applications.nugraph.demo:run"}
    showcase = True
    packages = ("scipy", "safetensors")

    unit, suffixes, example = "events", (".h5", ".hdf5"), "events/*.h5"
    columns = table_columns(Labels(SEMANTIC_CLASSES, EVENT_CLASSES))
    formats = {".h5": _HDF5, ".hdf5": _HDF5}
    simulated, simulated_output = "events", "events.h5"

    @dataclass(frozen=True)
    class Options:
        """Options of a request."""

        strict: bool = field(
            default=False, metadata={"help": "Refuse events whose spacepoints name unknown hits."}
        )

    @dataclass(frozen=True)
    class DrawOptions:
        """Options of pictures."""

        truth: bool = field(
            default=False, metadata={"help": "With --plot: also draw the truth, if known."}
        )
        full: bool = field(
            default=False, metadata={"help": "With --plot: show all hits without zooming in."}
        )

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

    @classmethod
    def simulated_requests(cls, number: int, seed: int) -> Iterator[Arrays]:
        """Yield the requests of simulated events, three small ones for each large one."""
        from naiad.applications.nugraph.simulate import simulated_requests

        return simulated_requests(number, seed)

    def open(self, path: Path) -> Source[Event]:
        """Open a file of events."""
        from naiad.applications.nugraph.events import open_events

        return open_events(path, truth=False)

    def request(self, unit: Event, options: Any) -> Request:
        """Return the request for an event."""
        return Request(
            unit.arrays(), id="/".join(map(str, unit.id)), parameters={"strict": options.strict}
        )

    def request_for(self, unit: Event, options: Any, card: Labels) -> Request:
        """Return the request for an event, with the columns that the model takes."""
        return replace(self.request(unit, options), arrays=unit.arrays(extra=card.extra))

    def answer(self, unit: Event, outputs: Arrays, card: Labels) -> NuGraphResult:
        """Return the result of an event."""
        from naiad.applications.nugraph.results import NuGraphResult

        return NuGraphResult.from_outputs(unit, outputs, card)

    def rows(self, result: NuGraphResult) -> Rows:
        """Return the columns of an event: a row per hit, with the event's values in each."""
        from naiad.applications.nugraph.result_tables import rows

        return rows(result)

    def card(self, metadata: Mapping[str, str]) -> Labels:
        """Return the names of the model's classes, and its notice."""
        return Labels.from_metadata(metadata)

    def columns_of(self, card: Labels, options: Any) -> tuple[Column, ...]:
        """Return the columns for the classes of a model."""
        return table_columns(_named(card))

    def facts(self, card: Labels) -> Json:
        """Return the classes and the notice, for table metadata."""
        return facts(_named(card))

    def report(self, count: int, card: Labels, options: Any) -> EventReport:
        """Return a report of a few events one by one, or of sums over many."""
        from naiad.applications.nugraph.report import EventReport

        return EventReport(count)

    def draw(self, found: Sequence[Found], path: Path, card: Labels, options: Any) -> None:
        """Draw an event: wire against time on three planes."""
        from naiad.applications.nugraph.display import draw

        for one in found:
            draw(one, path, truth=options.truth, zoom=not options.full)

    def picture_name(self, found: Found) -> str:
        """Return run, subrun and event."""
        result: NuGraphResult = found.result
        return f"{result.run}-{result.subrun}-{result.event}"

    def simulate(self, number: int, seed: int, options: Any) -> Iterator[tuple[str, Event]]:
        """Simulate neutrino events in a liquid-argon detector, with truth, for tests and training.

        A toy, not for physics: tracks and showers from a vertex, cosmic rays and
        noise, on three wire planes. The file has pynuml's layout.

        [bold]Examples[/]

          naiad simulate nugraph3 -n 1000 -o events.h5 --seed 7
          naiad simulate nugraph3 -n 50 -o large.h5 --size large
        """
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
        """Train NuGraph3 on a file of events with truth; a tenth of them is held out for testing.

        [bold]Examples[/]

          naiad simulate nugraph3 -n 5000 -o events.h5
          naiad train nugraph3 --events events.h5 -o my-weights/
          naiad serve nugraph3 --weights my-weights/
        """
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
        """Turn a Lightning checkpoint of NuGraph3 into a folder of safetensors and JSON.

        Nothing in the checkpoint is run: only tensors and plain values are read, and
        a checkpoint with anything else is refused.

        [bold]Examples[/]

          naiad weights import nugraph3 hierarchical.ckpt -o nugraph3-weights/
          naiad serve nugraph3 --weights nugraph3-weights/
        """
        from naiad.applications.nugraph.weights import import_checkpoint

        import_checkpoint(
            source, output, normalisation=options.normalisation, notice=options.notice
        )
        return ()


def _named(labels: Labels) -> Labels:
    """Return the labels, numbered if the server names no classes."""
    return labels.sized(
        {
            "semantic": len(labels.semantic) or len(SEMANTIC_CLASSES),
            "event": len(labels.event) or len(EVENT_CLASSES),
        }
    )
