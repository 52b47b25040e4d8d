"""NuGraph3 as people use it: files of neutrino events in; labels, classes and vertices out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from naiad.applications.nugraph.labels import EVENT_CLASSES, SEMANTIC_CLASSES
from naiad.applications.nugraph.schema import PLANES
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
    from naiad.applications.nugraph.results import Labels, NuGraph3Result

_HDF5: Final = "naiad.applications.nugraph.result_files:Hdf5Writer"


class EventSize(str, Enum):
    """Size of simulated events."""

    small = "small"
    large = "large"


def columns_for(semantic: Sequence[str], event: Sequence[str]) -> tuple[Column, ...]:
    """Return the columns of the table of results, one row per hit, for some classes."""
    return (
        Column("entry", "int64", "place of the event among those of the table", fill="number"),
        Column("run", "int32", "run number"),
        Column("subrun", "int32", "subrun number"),
        Column("event", "int32", "event number"),
        Column("hit_id", "int32", "number of the hit in its event; none in an event without hits"),
        Column("plane", "category", "wire plane of the hit", categories=PLANES),
        Column("wire", "int32", "wire of the hit, counted in its plane"),
        Column("time", "float32", "drift time of the hit", "tick"),
        Column("integral", "float32", "charge of the hit", "ADC"),
        Column("rms", "float32", "width of the hit in time", "tick"),
        Column("semantic", "category", "likeliest class of the hit", categories=tuple(semantic)),
        *(Column(f"p_{name}", "float32", f"probability that it is {name}") for name in semantic),
        Column("filter", "float32", "probability that the neutrino made the hit"),
        Column("signal", "bool", "whether filter is above 0.5"),
        Column("event_class", "category", "likeliest class of the event", categories=tuple(event)),
        *(Column(f"p_event_{name}", "float32", f"probability of {name}") for name in event),
        *(Column(f"vertex_{axis}", "float32", f"{axis} of the vertex", "cm") for axis in "xyz"),
        Column("unknown_hits", "int32", "hits that spacepoints name and the event does not have"),
    )


class NuGraph3Task(
    Task["Event", "NuGraph3Result"],
    Opens["Event"],
    Reports,
    Draws,
    Simulates["Event"],
    Trains,
    ImportsWeights,
):
    """Label hits, classify events and find vertices, with a served NuGraph3.

    Prints each of up to three events, or a summary of more. Files of results
    have a row per hit; HDF5 has pynuml's layout.

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
    columns = columns_for(SEMANTIC_CLASSES, EVENT_CLASSES)
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
            default=False, metadata={"help": "With --plot: draw the truth too, where known."}
        )
        full: bool = field(
            default=False, metadata={"help": "With --plot: show all hits, not a closer look."}
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
        seed: int = field(default=0, metadata={"help": "Of the split and the weights.", "min": 0})
        threads: int = field(default=1, metadata={"help": "Threads of torch.", "min": 1})
        notice: str = field(
            default="trained on simulated events, not for physics",
            metadata={"help": "What every user of the weights must know."},
        )

    @dataclass(frozen=True)
    class ImportOptions:
        """Options of the import."""

        normalisation: Path | None = field(
            default=None,
            metadata={
                "help": "JSON with the mean and std of each plane's features; by default those of "
                "the public MicroBooNE data set.",
                "metavar": "FILE",
            },
        )
        notice: str = field(
            default="", metadata={"help": "What every user of the weights must know."}
        )

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
        """Return an event as a request."""
        return Request(
            unit.arrays(), id="/".join(map(str, unit.id)), parameters={"strict": options.strict}
        )

    def answer(self, unit: Event, outputs: Arrays, card: Labels) -> NuGraph3Result:
        """Return the result of an event."""
        from naiad.applications.nugraph.results import NuGraph3Result

        return NuGraph3Result.from_outputs(unit, outputs, card)

    def rows(self, result: NuGraph3Result) -> Rows:
        """Return the columns of an event: its hits, and its own numbers for all of them."""
        from naiad.applications.nugraph.result_tables import rows

        return rows(result)

    def card(self, metadata: Mapping[str, str]) -> Labels:
        """Return the names of the model's classes, and its notice."""
        from naiad.applications.nugraph.results import Labels

        return Labels.from_metadata(metadata)

    def columns_of(self, card: Labels, options: Any) -> tuple[Column, ...]:
        """Return the columns for the classes of a model."""
        labels = _named(card)
        return columns_for(labels.semantic, labels.event)

    def facts(self, card: Labels) -> Json:
        """Return the classes and the notice, for the metadata of tables."""
        labels = _named(card)
        return {
            "content": "NuGraph3 results",
            "semantic_classes": labels.semantic,
            "event_classes": labels.event,
            "notice": labels.notice,
        }

    def report(self, count: int, card: Labels, options: Any) -> EventReport:
        """Return a report of a few events one by one, or of many as sums."""
        from naiad.applications.nugraph.report import EventReport

        return EventReport(count)

    def draw(self, found: Sequence[Found], path: Path, card: Labels, options: Any) -> None:
        """Draw an event: wire against time on three planes."""
        from naiad.applications.nugraph.display import draw

        for one in found:
            draw(one, path, truth=options.truth, zoom=not options.full)

    def picture_name(self, found: Found) -> str:
        """Return run, subrun and event."""
        result: NuGraph3Result = found.result
        return f"{result.run}-{result.subrun}-{result.event}"

    def simulate(self, number: int, seed: int, options: Any) -> Iterator[tuple[str, Event]]:
        """Simulate neutrino events in a liquid-argon detector, with truth, for trying and training.

        A toy, not for physics: tracks and showers from a vertex, cosmic rays and
        noise, on three wire planes. Written in pynuml's layout.

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
        """Train NuGraph3 on a file of events with truth; a tenth of them is held out to judge it.

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
        anything else in it is a reason to refuse it.

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
    """Return the labels; those of a server that names no classes are numbered."""
    return labels.sized(
        len(labels.semantic) or len(SEMANTIC_CLASSES), len(labels.event) or len(EVENT_CLASSES)
    )
