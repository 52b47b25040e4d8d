"""``naiad infer``: ask a server about the units of some inputs; print, write and draw results."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from naiad.client import Client
from naiad.console import complain, progress_bar, say, say_notice, shortened
from naiad.errors import DeadlineExceeded, InvalidInput, NaiadError, Unavailable
from naiad.files import suffix_of
from naiad.tasks.client import TaskClient
from naiad.tasks.default_report import report_of
from naiad.tasks.naming import stem_of, stems_of
from naiad.tasks.output import FolderOfFiles, Output, check_places
from naiad.tasks.requests import without_place
from naiad.tasks.sources import STDIN, Input, find_inputs, open_input
from naiad.tasks.tables import check_suffix, suffixes_of
from naiad.tasks.task import (
    Draws,
    Found,
    Joins,
    Opens,
    Parses,
    Source,
    Task,
    WritesFiles,
)
from naiad.tasks.truth import HasTruth
from naiad.tasks.units import Unit, joined, read_parts, unread

if TYPE_CHECKING:
    from naiad.tasks.study_options import Sending, StudyOptions

PICTURES: Final = (".png", ".jpg", ".svg", ".pdf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Inference:
    """Settings of ``naiad infer``.

    Attributes:
        task: of the units.
        options: of the task.
        paths: files and folders.
        typed: units that were typed.
        chosen: units of each input to ask about.
        output: a file, whose suffix is the format; or a folder, with a file per input.
        plot: a picture; or a folder, with a picture for each unit.
        model: name on the server; by default the task's.
        drawing: options of the pictures.
        truth: compare with the truth in the inputs.
        concurrency: requests at once.
        timeout: seconds per request.
        force: overwrite existing files.
        studies: studies to ask about in place of files, and where their results go in DICOM.
    """

    task: Task[Any, Any]
    options: Any
    paths: Sequence[Path] = ()
    typed: Sequence[str] = ()
    chosen: slice = field(default_factory=lambda: slice(None))
    output: Path | None = None
    plot: Path | None = None
    model: str | None = None
    drawing: Any = None
    truth: bool = False
    concurrency: int
    timeout: float
    force: bool = False
    studies: StudyOptions | None = None

    def inputs(self) -> list[Input]:
        """Return the inputs, after checking that all outputs can be written.

        Raises:
            InvalidInput: there is no unit, or an input is missing.
            NaiadError: an output exists, is an input, or has an unknown format.
        """
        inputs = self._found()
        if self.typed:
            if not isinstance(self.task, Parses):
                raise InvalidInput(f"{self.task.name} takes files")
            inputs.insert(0, Input(Path("-"), Path("typed"), tuple(self.typed)))
        if not inputs:
            raise InvalidInput(f"nothing to ask about; give {self.task.unit}, or a file")
        check_places(
            dict.fromkeys(self._places(inputs)),
            [given.path for given in inputs],
            force=self.force,
        )
        if not any(
            given.typed or given.opener or given.path == STDIN or given.path.exists()
            for given in inputs
        ):
            raise InvalidInput(f"{inputs[0].path}: no such file")
        return inputs

    def _found(self) -> list[Input]:
        """Return the inputs that are not typed."""
        if self.studies is not None:
            self.studies.check(paths=bool(self.paths))
            if self.studies.source is not None:
                from naiad.tasks.study_options import study_inputs

                return study_inputs(self.task, self.studies, self.options)
        return find_inputs(self.task, self.paths)

    def place_of(self, given: Input) -> Path | None:
        """Return the file for the results of an input."""
        if self.output is None or not is_folder(self.output):
            return self.output
        stem = stem_of(self.task, given.name)
        return self.output / stem.with_name(stem.name + suffixes_of(self.task)[0])

    def folder_of_files(self, inputs: Sequence[Input], card: Any) -> FolderOfFiles | None:
        """Return the folder for files of results, if there are any and a folder was given."""
        if not isinstance(self.task, WritesFiles) or not self.task.writes_files(card):
            return None
        if self.output is None or not is_folder(self.output):
            return None
        paths = [given.path for given in inputs if not (given.typed or given.opener)]
        return FolderOfFiles(self.task, self.output, paths, force=self.force)

    def _places(self, inputs: Sequence[Input]) -> Iterator[Path]:
        if self.plot is not None:
            if not isinstance(self.task, Draws):
                raise InvalidInput(f"{self.task.name} draws no pictures; leave --plot out")
            if not is_folder(self.plot) and suffix_of(self.plot) not in PICTURES:
                raise InvalidInput(f"{self.plot}: pictures are written as {', '.join(PICTURES)}")
            # Raises MissingExtra, if need be, before anything is asked.
            picture = self.plot / "0.png" if is_folder(self.plot) else self.plot
            self.task.draw([], picture, {}, self.drawing)
            yield self.plot
        if self.output is None:
            return
        if not is_folder(self.output):
            check_suffix(self.task, suffix_of(self.output))
            yield self.output
            return
        seen: dict[Path, Input] = {}
        for given in inputs:
            place = self.place_of(given)
            assert place is not None
            if place in seen:
                raise InvalidInput(
                    f"{seen[place].path} and {given.path} would both be written to {place}; write "
                    "them to different folders, or give the folder above both"
                )
            seen[place] = given
            yield place


def is_folder(path: Path) -> bool:
    """Return whether a path is a folder, or looks like one: a name without a suffix."""
    return path.is_dir() or not path.suffix


@dataclass(slots=True)
class _Answered:
    """A `Found` that keeps the position of a unit, not the unit."""

    name: str
    result: Any
    task: Task[Any, Any]
    places: Sequence[tuple[Input, int]]

    @property
    def path(self) -> Path:
        """The unit's input, or the first of several."""
        return self.places[0][0].path

    @property
    def number(self) -> int:
        """Index of the unit, or of its first part, in its input."""
        return self.places[0][1]

    def unit(self) -> Any:
        """Read the unit again."""
        parts: list[Any] = []
        for given, number in self.places:
            with closing(open_input(self.task, given)) as source:
                ((_, unit),) = source.read(range(number, number + 1))
            if isinstance(unit, Exception):
                raise unit
            parts.append(unit)
        return parts[0] if len(parts) == 1 else cast("Joins[Any]", self.task).join(parts)


class _Opened(NamedTuple):
    """An opened input, and the indices of the units to ask about."""

    given: Input
    source: Source[Any]
    numbers: range


class _Run:
    """An inference in progress."""

    def __init__(self, what: Inference, client: Client) -> None:
        self.what, self.client = what, client
        self.asked: deque[Unit] = deque()
        self.failed = self.done = 0
        self.several = False
        self.stems: dict[Input, list[Path]] = {}  # by input, of the files of each unit
        self.kept: list[Found] = []
        self.folder: FolderOfFiles | None = None
        self.sending: Sending | None = None
        task = what.task
        self._truth = task if what.truth and isinstance(task, HasTruth) else None

    def run(self, inputs: Sequence[Input]) -> int:
        what, task = self.what, self.what.task
        self.several = len(inputs) > 1
        served = self.client.model(what.model or task.model)
        model: TaskClient[Any, Any] = task.client_of(served)
        card = model.card  # raises before anything is written, if the server lacks the model
        with ExitStack() as stack:
            sources: list[_Opened] = []
            for given in inputs:
                try:
                    source = stack.enter_context(closing(self._open(given)))
                except NaiadError as error:
                    self._fail(unread(given, error), error)
                    continue
                sources.append(_Opened(given, source, range(len(source))[what.chosen]))
            count = sum(len(opened.numbers) for opened in sources)
            if not count and not self.failed:
                raise InvalidInput(f"the inputs have none of the selected {task.unit}")
            parts = task.parts(card) if isinstance(task, Joins) else ("",)
            if len(parts) > 1:
                if inputs[0].opener is not None:
                    raise InvalidInput(
                        f"the model needs {len(parts)} files per scan ({', '.join(parts)}), and "
                        "studies give one series: convert the series, and give files"
                    )
                self._check_parts(count, parts)
                count //= len(parts)
            counts = [(opened.given.name, len(opened.source)) for opened in sources]
            stems = stems_of(task, counts, len(parts))
            self.stems = {one.given: named for one, named in zip(sources, stems, strict=True)}
            report = report_of(task, count, card, what.options)
            comparison = self._truth.comparison(card) if self._truth is not None else None
            advance = stack.enter_context(progress_bar(task.unit, count, unit=task.unit))
            began = time.perf_counter()
            outputs: dict[Path, Output] = {}
            self.folder = what.folder_of_files(inputs, card)
            self.sending = self._sending(model)
            read = (one for source in sources for one in read_parts(*source))
            answers = model.answers(
                self._units(joined(task, read, len(parts))),
                what.options,
                concurrency=what.concurrency,
                timeout=what.timeout,
            )
            for answer in answers:
                asked = self.asked.popleft()
                if not isinstance(answer, NaiadError):
                    try:
                        self._write(asked, answer, card, outputs, stack)
                        if self.sending is not None:
                            self.sending.send(asked, answer)
                    except InvalidInput as error:
                        answer = error
                if isinstance(answer, NaiadError):
                    self._fail(asked, answer)
                else:
                    self.done += 1
                    found = _Answered(asked.name, answer, task, asked.places)
                    report.add(found)
                    if comparison is not None:
                        comparison.add(asked.value, answer)
                    self._draw(found, card)
                advance(self.failed + self.done)
            seconds = time.perf_counter() - began
        # After the bar, which lines on standard output would break.
        if self.done:
            report.print(seconds)
            if comparison is not None:
                comparison.print()
        say_notice(model.notice())
        self._finish(card)
        return self.failed

    def _open(self, given: Input) -> Source[Any]:
        if self._truth is not None and not given.typed:
            return self._truth.open_with_truth(given.path)
        return open_input(self.what.task, given)

    def _sending(self, model: TaskClient[Any, Any]) -> Sending | None:
        """Return what sends results in DICOM, if a place for them was given."""
        studies = self.what.studies
        if studies is None or studies.to is None:
            return None
        from naiad.tasks.studies import StudyCall
        from naiad.tasks.study_options import Sending

        sink = studies.open_sink()
        assert sink is not None
        call = StudyCall(model, self.what.options, self.what.timeout)
        return Sending(call, sink, studies.kinds)

    def _check_parts(self, count: int, parts: Sequence[str]) -> None:
        unit = self.what.task.unit
        if self.failed:
            raise InvalidInput(f"nothing was asked: {unit} are made of {len(parts)} files each")
        if count % len(parts):
            raise InvalidInput(
                f"{count} files were given; the model needs {len(parts)} for each of the {unit}, "
                f"in this order: {', '.join(parts)}"
            )

    def _units(self, read: Iterator[Unit]) -> Iterator[Any]:
        """Yield the units that were read, and report the others."""
        for unit in read:
            if unit.error is not None:
                self._fail(unit, unit.error)
            else:
                self.asked.append(unit)
                yield unit.value

    def _write(
        self, asked: Unit, result: Any, card: Any, outputs: dict[Path, Output], stack: ExitStack
    ) -> None:
        what = self.what
        place = what.place_of(asked.given)
        if place is None:
            return
        files: list[str] = []
        if self.folder is not None:
            files = self.folder.write(
                self.stems[asked.given][asked.number], asked.value, result, what.options
            )
        if place not in outputs:
            beside = self.folder is not None
            output = Output(what.task, place, card, what.options, files=beside)
            outputs[place] = stack.enter_context(output)
        outputs[place].add(asked.name, asked.value, result, files)

    def _draw(self, found: _Answered, card: Any) -> None:
        what = self.what
        if what.plot is None:
            return
        assert isinstance(what.task, Draws)
        if not is_folder(what.plot):
            if len(self.kept) < what.task.most:
                self.kept.append(found)
            return
        name = found.places[0][0].name
        called = what.task.picture_name(found)
        if len(found.places) > 1:
            called = stem_of(what.task, name).name
        stem = re.sub(r"[^\w.-]+", "-", called).strip("-")
        folder, number = what.plot / name.parent, self.done - 1
        if isinstance(what.task, Opens) and str(found.path) not in found.name:
            number = found.number
            if self.several:
                folder /= name.stem
        path = folder / f"{number:05d}-{stem}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        what.task.draw([found], path, card, what.drawing)

    def _finish(self, card: Any) -> None:
        what, unit = self.what, self.what.task.unit
        done = f"1 {unit.removesuffix('s')}" if self.done == 1 else f"{self.done:,} {unit}"
        if what.output is not None and self.done:
            where = what.output
            say(f"wrote {done} to ", (str(where), "bold"))
        if self.sending is not None and self.sending.sent:
            assert what.studies is not None
            say(f"sent {self.sending.sent:,} instances to ", (str(what.studies.to), "bold"))
        if what.plot is not None and self.done:
            if self.kept:
                assert isinstance(what.task, Draws)
                what.task.draw(self.kept, what.plot, card, what.drawing)
            part = f"the first {len(self.kept):,} of " if 0 < len(self.kept) < self.done else ""
            say(f"drew {part}{done} into ", (str(what.plot), "bold"))
        if self.failed:
            complain(f"{self.failed:,} of {self.failed + self.done:,} {unit} failed")

    def _fail(self, asked: Unit, error: Exception) -> None:
        self.failed += 1
        said = without_place(self.what.task, error, "").removeprefix(asked.name).lstrip(": ")
        complain(f"{self._called(asked)}: {said}")
        if isinstance(error, Unavailable | DeadlineExceeded) and not self.client.ready():
            raise Unavailable(
                f"the server at {self.client.url} is gone; {self.done:,} {self.what.task.unit} "
                "got an answer"
            )

    def _called(self, asked: Unit) -> str:
        """Return the name of a unit, with its position if its file has many."""
        task = self.what.task
        says_file = str(asked.given.path) in asked.name
        if not isinstance(task, Opens) or says_file:
            return shortened(asked.name) if isinstance(task, Parses) else asked.name
        file = f"{asked.path}: " if self.several else ""
        return f"{file}{task.unit.removesuffix('s')} {asked.number} ({asked.name})"


def infer(what: Inference, client: Client, inputs: Sequence[Input]) -> int:
    """Ask, print, write and draw; return the number of units that failed.

    Raises:
        Unavailable: the server is gone.
        NaiadError: an output cannot be written; says what was kept.
    """
    return _Run(what, client).run(inputs)
