"""The base of the tasks of NuGraph networks: files of neutrino events in, their results out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from naiad.applications.nugraph.heads import Labels
from naiad.applications.nugraph.result_columns import facts, table_columns
from naiad.core.pipeline import Request
from naiad.core.schema import Arrays
from naiad.tasks.task import Column, Draws, Found, Json, Opens, Reports, Rows, Source, Task
from naiad.tasks.truth import HasTruth
from naiad.tasks.views import Plots, Scores

if TYPE_CHECKING:
    from naiad.applications.nugraph.events import Event
    from naiad.applications.nugraph.report import EventReport
    from naiad.applications.nugraph.results import NuGraphResult
    from naiad.applications.nugraph.truth import TruthReport

_HDF5: Final = "naiad.applications.nugraph.result_files:Hdf5Writer"
_ROOT: Final = "naiad.applications.nugraph.root_results:RootWriter"


class NuGraphTask(
    Task["Event", "NuGraphResult"],
    Opens["Event"],
    Reports,
    Draws,
    HasTruth["Event"],
    Scores["NuGraphResult"],
    Plots,
):
    """Base of the tasks of NuGraph networks."""

    packages = ("scipy", "safetensors")
    unit, suffixes, example = "events", (".h5", ".hdf5", ".root"), "events/*.h5"
    formats = {".h5": _HDF5, ".hdf5": _HDF5, ".root": _ROOT}

    defaults: ClassVar[Labels]
    """Heads and classes of a server whose model names none."""

    @dataclass(frozen=True)
    class Options:
        """Options of a request."""

        strict: bool = field(
            default=False, metadata={"help": "Refuse events whose spacepoints name unknown hits."}
        )

    @dataclass(frozen=True)
    class DrawOptions:
        """Options of pictures."""

        truth: bool = field(default=False, metadata={"help": "Also draw the truth, if known."})
        full: bool = field(
            default=False,
            metadata={
                "help": "With --plot: show all hits, each plane fitted to them, without zooming in."
            },
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

    def open_with_truth(self, path: Path) -> Source[Event]:
        """Open a file of events, with their truth if it has that."""
        from naiad.applications.nugraph.events import open_events

        return open_events(path)

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
        return Labels.from_metadata(metadata, self.defaults.heads, self.defaults.title)

    def columns_of(self, card: Labels, options: Any) -> tuple[Column, ...]:
        """Return the columns for the classes of a model."""
        return table_columns(self._named(card))

    def facts(self, card: Labels) -> Json:
        """Return the classes and the notice, for table metadata."""
        return facts(self._named(card))

    def report(self, count: int, card: Labels, options: Any) -> EventReport:
        """Return a report of a few events one by one, or of sums over many."""
        from naiad.applications.nugraph.report import EventReport

        return EventReport(count)

    def comparison(self, card: Labels) -> TruthReport:
        """Return a report of accuracy, efficiency and purity per class, and vertex errors."""
        from naiad.applications.nugraph.truth import TruthReport

        return TruthReport(self._named(card))

    def draw(self, found: Sequence[Found], path: Path, card: Labels, options: Any) -> None:
        """Draw an event: wire against time on three planes."""
        from naiad.applications.nugraph.display import draw

        for one in found:
            draw(one, path, truth=options.truth, zoom=not options.full)

    def scores(self, result: NuGraphResult) -> Mapping[str, float]:
        """Return the probability of each class of interaction; none without that head."""
        return result.event_probabilities if result.has("event") else {}

    def plot(self, found: Found) -> Any:
        """Return a figure of an event: wire against time on three planes."""
        from naiad.applications.nugraph.figure import event_figure

        return event_figure(found.unit(), found.result)

    def picture_name(self, found: Found) -> str:
        """Return run, subrun and event."""
        result: NuGraphResult = found.result
        return f"{result.run}-{result.subrun}-{result.event}"

    def _named(self, labels: Labels) -> Labels:
        """Return the labels, numbered if the server names no classes."""
        usual = self.defaults
        return labels.sized(
            {
                "semantic": len(labels.semantic or usual.semantic),
                "event": len(labels.event or usual.event),
            }
        )
