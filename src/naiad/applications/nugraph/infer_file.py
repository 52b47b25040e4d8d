"""A whole file of events through a server: results to the screen, a file and pictures."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from rich.markup import escape
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

from naiad.applications.nugraph.client import NuGraph3Client
from naiad.applications.nugraph.events import Event, EventFile, open_events
from naiad.applications.nugraph.reading import read_each
from naiad.applications.nugraph.report import Tally, count_of, print_result, print_tally
from naiad.applications.nugraph.result_files import ResultWriter, check_format
from naiad.applications.nugraph.results import NuGraph3Result
from naiad.cli.connect import connected
from naiad.client import Client
from naiad.console import complain, errors, output, say
from naiad.errors import DeadlineExceeded, NaiadError, Unavailable

MODEL = "nugraph3"

# Up to so many events are printed one by one, more as a summary.
_FEW = 3
# So many events tell where in the detector the wires are.
_GEOMETRY_EVENTS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to do with a file of events.

    Attributes:
        file: the events.
        events: which of them.
        output: file for the results, HDF5 or parquet.
        plot: folder for the pictures.
        truth: draw the truth too, where it is known.
        zoom: draw a closer look.
        concurrency: events with the server at once.
        strict: refuse events whose spacepoints name unknown hits.
        timeout: seconds per event.
        force: overwrite output and pictures.
    """

    file: Path
    events: slice
    output: Path | None = None
    plot: Path | None = None
    truth: bool = False
    zoom: bool = True
    concurrency: int = 8
    strict: bool = False
    timeout: float = 60.0
    force: bool = False


def infer_events(job: Job, url: str | None, weights: Path | None = None) -> int:
    """Run the job on the server at ``url``, or on one that is started for it with ``weights``.

    Returns:
        how many events failed.

    Raises:
        Unavailable: no server is there; says how to start one.
        EngineError: Triton cannot run here.
        NaiadError: the file, the output or the model is not as it must be.
    """
    with _open(job) as file, connected(MODEL, url, timeout=job.timeout, weights=weights) as client:
        return _Run(job, file, client).run()


def picture_name(number: int, ids: tuple[int, int, int]) -> str:
    """File name of an event's picture: its place in the file, then run, subrun and event."""
    return "-".join([f"{number:05d}", *(str(part) for part in ids)]) + ".png"


def _open(job: Job) -> EventFile:
    """The chosen events; anything that would make the job fail later is found here."""
    if job.output is not None:
        check_format(job.output)
        if job.output.exists() and not job.force:
            raise NaiadError(f"{job.output} exists; --force overwrites it")
    file = open_events(job.file, truth=job.truth and job.plot is not None)
    try:
        numbers = range(len(file))[job.events]
        if not numbers:
            raise NaiadError(f"{job.file} has {len(file)} events, and none of those asked for")
        if job.plot is not None and not job.force:
            for number in numbers:
                path = job.plot / picture_name(number, _ids(file, number))
                if path.exists():
                    raise NaiadError(f"{path} exists; --force overwrites it")
    except BaseException:
        file.close()
        raise
    return file


@dataclass(slots=True)
class _Run:
    """One job under way."""

    job: Job
    file: EventFile
    client: Client
    failed: int = 0
    tally: Tally = field(default_factory=Tally)
    sent: deque[tuple[int, Event]] = field(default_factory=deque[tuple[int, Event]])

    def run(self) -> int:
        """Do it; how many events failed."""
        job = self.job
        numbers = range(len(self.file))[job.events]
        model = NuGraph3Client(self.client.model(MODEL))
        _ = model.labels  # a server without the model is found before anything is written
        few: list[NuGraph3Result] = []
        began = time.perf_counter()
        with ExitStack() as stack:
            progress = stack.enter_context(_progress_bar())
            task = progress.add_task("events", total=len(numbers))
            writer = None
            if job.output is not None:
                job.output.parent.mkdir(parents=True, exist_ok=True)
                writer = stack.enter_context(ResultWriter(job.output, overwrite=job.force))
            painter = _Painter(job, self.file) if job.plot is not None else None
            answers = model.infer_many(
                self._events(numbers),
                concurrency=job.concurrency,
                strict=job.strict,
                on_error="return",
            )
            for answer in answers:
                number, event = self.sent.popleft()
                if isinstance(answer, NaiadError):
                    self._fail(number, answer)
                else:
                    self.tally.add(answer)
                    if len(numbers) <= _FEW:
                        few.append(answer)
                    if writer is not None:
                        writer.add(answer)
                    if painter is not None:
                        painter.draw(number, event, answer)
                progress.update(task, completed=self.failed + self.tally.events.total())
        seconds = time.perf_counter() - began
        for result in few:
            print_result(result)
            output.print()
        if len(numbers) > _FEW:
            # Drawing takes far longer than the server; the pace would be that of the pictures.
            print_tally(self.tally, seconds if job.plot is None else None)
        self._say_what_was_written()
        return self.failed

    def _events(self, numbers: range) -> Iterator[Event]:
        """The events that can be read; the others are reported."""
        for number, event in zip(numbers, read_each(self.file, numbers), strict=True):
            if isinstance(event, Event):
                self.sent.append((number, event))
                yield event
            else:
                self._fail(number, event)

    def _fail(self, number: int, error: Exception) -> None:
        self.failed += 1
        run, subrun, event = _ids(self.file, number)
        complain(f"event {number} (run {run}, subrun {subrun}, event {event}): {error}")
        if isinstance(error, Unavailable | DeadlineExceeded) and not self.client.ready():
            raise Unavailable(
                f"the server at {self.client.url} is gone; "
                f"{count_of(self.tally.events.total(), 'event')} got an answer before"
            )

    def _say_what_was_written(self) -> None:
        job, done = self.job, self.tally.events.total()
        if job.output is not None and done:
            say(f"wrote {count_of(done, 'result')} to [bold]{escape(str(job.output))}[/]")
        if job.plot is not None and done:
            say(f"drew {count_of(done, 'event')} into [bold]{escape(str(job.plot))}[/]")
        if self.failed:
            complain(f"{self.failed:,} of {count_of(self.failed + done, 'event')} failed")


class _Painter:
    """Draws events into a folder, with what the file tells of the detector's geometry."""

    def __init__(self, job: Job, file: EventFile) -> None:
        from naiad.applications.nugraph.projection import fit_projection

        assert job.plot is not None
        self._job, self._folder = job, job.plot
        self._folder.mkdir(parents=True, exist_ok=True)
        some = read_each(file, range(min(len(file), _GEOMETRY_EVENTS)))
        self._projection = fit_projection(event for event in some if isinstance(event, Event))

    def draw(self, number: int, event: Event, result: NuGraph3Result) -> None:
        """Draw one event."""
        from naiad.applications.nugraph.display import event_display

        event_display(
            event,
            result,
            self._folder / picture_name(number, event.id),
            truth=self._job.truth,
            zoom=self._job.zoom,
            projection=self._projection,
        )


def _ids(file: EventFile, number: int) -> tuple[int, int, int]:
    run, subrun, event = file.ids[number].tolist()
    return run, subrun, event


def _progress_bar() -> Progress:
    return Progress(
        *Progress.get_default_columns(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=errors,
        transient=True,
        disable=not errors.is_terminal,
    )
