"""Tasks whose units are scans: from a study in an archive to results that are stored there."""

from __future__ import annotations

import warnings
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory, mkdtemp
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from naiad.dicom.findings import KINDS, Algorithm, Findings, Kind
from naiad.dicom.sink import Reference, Sink
from naiad.dicom.source import Fetched, SeriesFolder, Study
from naiad.dicom.source import Source as Studies
from naiad.errors import InvalidInput, NaiadError
from naiad.tasks.task import Draws, Source

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from naiad.dicom.rules import Rules
    from naiad.tasks.client import TaskClient

Unit = TypeVar("Unit")
Result = TypeVar("Result")


class ReadsSeries(ABC, Generic[Unit, Result]):
    """An application whose units are scans, which DICOM series can be read as."""

    @abstractmethod
    def open_series(self, folder: Path, options: Any) -> Source[Unit]:
        """Open the scans in a folder with the files of one series: mostly one.

        An enhanced file may have several stacks, phases or echoes; each is a scan.

        Raises:
            InvalidInput: the series cannot be read as a scan; says why.
        """

    @abstractmethod
    def findings(self, unit: Unit, result: Result, card: Any) -> Findings:
        """Return what was found in a scan, for results in DICOM."""


@dataclass(frozen=True, slots=True)
class Scan:
    """A scan of a study: the one with number ``number`` in its series, from 0."""

    series: SeriesFolder
    number: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result for one scan of a series, or the error in its place.

    Attributes:
        name: of the scan: the UIDs of its study and series.
        series: with its files.
        scan: number of the scan in its series, from 0.
        unit: as the task read it, or None.
        result: of the task, or None.
        findings: for results in DICOM, or None after an error.
        error: why there are none.
    """

    name: str
    series: SeriesFolder
    scan: int = 0
    unit: Any = None
    result: Any = None
    findings: Findings | None = None
    error: NaiadError | None = None


class StudyScans:
    """A `Source` of the scans in the chosen series of a study.

    Attributes:
        fetched: the study.
        scans: the series and number of each scan; None of a series that cannot be read.
        notes: by index of the scan, what reading it tolerated.
    """

    def __init__(self, task: ReadsSeries[Any, Any], fetched: Fetched, options: Any) -> None:
        """Open the series; an error of one takes the place of its scans.

        Raises:
            InvalidInput: no series was chosen; says why for each.
        """
        if not fetched.series:
            why = "; ".join(map(str, fetched.left_out)) or "it has none"
            raise InvalidInput(f"study {fetched.study.uid}: no series is taken: {why}")
        self.fetched = fetched
        self.notes: dict[int, tuple[str, ...]] = {}
        self.scans: list[Scan] = []
        self._sources: list[Source[Any] | NaiadError] = []
        for series in fetched.series:
            notes, source = _noted(lambda series=series: _opened(task, series, options))
            series = replace(series, notes=(*series.notes, *notes))
            count = 1 if isinstance(source, NaiadError) else len(source)
            self.scans += [Scan(series, number) for number in range(count)]
            self._sources += [source] * count

    def __len__(self) -> int:
        """Return the number of scans."""
        return len(self.scans)

    def read(self, numbers: range) -> Iterator[tuple[str, Any]]:
        """Yield the name of each scan, and the scan, or the error that reading it raised."""
        for number in numbers:
            scan, source = self.scans[number], self._sources[number]
            name = f"{self.fetched.study.uid}/{scan.series.about.uid}"
            name += f" scan {scan.number}" if scan.number else ""
            if isinstance(source, NaiadError):
                yield name, source
                continue
            one = range(scan.number, scan.number + 1)
            notes, found = _noted(lambda source=source, one=one: next(iter(source.read(one)))[1])
            self.notes[number] = (*scan.series.notes, *notes)
            yield name, found

    def close(self) -> None:
        """Close the series; their files stay."""
        for source in self._sources:
            if not isinstance(source, NaiadError):
                source.close()


class FetchedScans(StudyScans):
    """The scans of a study in a temporary folder, which is removed when nothing refers to them."""

    def __init__(
        self,
        task: ReadsSeries[Any, Any],
        source: Studies,
        study: Study,
        rules: Rules,
        options: Any,
    ) -> None:
        """Fetch the study; errors as of `naiad.dicom.source.Source.fetch`, and of no series."""
        folder = Path(mkdtemp(prefix="naiad-study-"))
        self._removed = weakref.finalize(self, rmtree, folder, ignore_errors=True)
        super().__init__(task, source.fetch(study, folder, rules), options)


class StudyResults:
    """Results of a task in DICOM.

    Attributes:
        task: a `ReadsSeries`.
        card: of the model.
        algorithm: the model, as results name it.
    """

    def __init__(self, task: Any, card: Any, algorithm: Algorithm) -> None:
        """Make results of a model with this card."""
        self.task, self.card, self.algorithm = task, card, algorithm

    def outcome(self, asked: Outcome, result: Any, notes: Sequence[str]) -> Outcome:
        """Return an outcome with the result, its findings and its picture."""
        try:
            findings = self.task.findings(asked.unit, result, self.card)
            picture = self._picture(asked, result)
        except NaiadError as error:
            return replace(asked, error=error)
        findings = replace(findings, notes=(*findings.notes, *notes), picture=picture)
        return replace(asked, result=result, findings=findings)

    def instances(
        self,
        outcome: Outcome,
        *,
        run: str,
        kinds: Sequence[Kind] = KINDS,
        previous: Sequence[Reference] = (),
    ) -> list[Dataset]:
        """Return an outcome's results in DICOM; see :func:`naiad.dicom.results.instances`."""
        from naiad.dicom.results import instances

        if outcome.findings is None:
            raise outcome.error or InvalidInput(f"{outcome.name} has no result")
        return instances(
            outcome.findings,
            outcome.series,
            self.algorithm,
            run=run,
            scan=outcome.scan,
            kinds=kinds,
            previous=previous,
        )

    def send(
        self,
        outcome: Outcome,
        sink: Sink,
        *,
        run: str,
        kinds: Sequence[Kind] = KINDS,
        images: bool = False,
    ) -> int:
        """Store an outcome's results, which refer to earlier reports there; return their number.

        With ``images``, the images of the series are stored before them, and counted.

        Raises:
            NaiadError: as of :meth:`instances` and `naiad.dicom.sink.Sink.send`.
        """
        from pydicom import dcmread

        study = outcome.name.partition("/")[0]
        previous = sink.reports(study, outcome.series.about.uid) if "sr" in kinds else ()
        made = self.instances(outcome, run=run, kinds=kinds, previous=previous)
        files = outcome.series.files() if images else []
        for path in files:
            sink.send([dcmread(path)])
        sink.send(made)
        return len(files) + len(made)

    def _picture(self, asked: Outcome, result: Any) -> Any:
        """Return the picture of a result, uint8 ``[rows, columns, 3]``; None if there is none."""
        if not isinstance(self.task, Draws):
            return None
        import numpy as np
        from PIL import Image

        found = _Drawn(f"series {asked.series.about.number or ''}".strip(), result, asked.unit)
        with TemporaryDirectory() as folder:
            path = Path(folder) / "picture.png"
            try:
                self.task.draw([found], path, self.card, self.task.DrawOptions())
            except InvalidInput:  # a result without a picture
                return None
            with Image.open(path) as image:
                return np.array(image.convert("RGB"))


class StudyCall(StudyResults):
    """A served model that is asked about studies."""

    def __init__(
        self, model: TaskClient[Any, Any], options: Any, timeout: float | None = None
    ) -> None:
        """Ask ``model`` with the options of its task, which is a `ReadsSeries`.

        Raises:
            NaiadError: the server does not have the model.
        """
        card = model.card  # by which a task may find the model
        served = model.model
        version = (served.metadata().get("versions") or [""])[-1]
        super().__init__(
            model.task, card, algorithm_of(served.name, card, str(version), model.notice())
        )
        self.model, self.options, self.timeout = model, options, timeout

    def answer(self, fetched: Fetched) -> Iterator[Outcome]:
        """Yield the outcome for each scan of the chosen series; an error stops no other scan.

        Raises:
            InvalidInput: no series was chosen; says why for each.
        """
        with closing(StudyScans(self.task, fetched, self.options)) as scans:
            for index, (name, unit) in enumerate(scans.read(range(len(scans)))):
                series, number = scans.scans[index].series, scans.scans[index].number
                outcome = Outcome(name, series, number, unit)
                if isinstance(unit, NaiadError):
                    yield replace(outcome, unit=None, error=unit)
                    continue
                (result,) = self.model.answers([unit], self.options, timeout=self.timeout)
                if isinstance(result, NaiadError):
                    yield replace(outcome, error=result)
                    continue
                yield self.outcome(outcome, result, scans.notes[index])


def algorithm_of(name: str, card: Any, version: str, notice: str) -> Algorithm:
    """Return a model as results name it; its card may state a version of its own."""
    stated = card.get("version") if isinstance(card, Mapping) else getattr(card, "version", "")
    return Algorithm(name, str(stated or version), notice)


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A `naiad.tasks.task.Found` whose name identifies no patient."""

    name: str
    result: Any
    value: Any
    path: Path = Path("-")
    number: int = 0

    def unit(self) -> Any:
        return self.value


def _opened(
    task: ReadsSeries[Any, Any], series: SeriesFolder, options: Any
) -> Source[Any] | NaiadError:
    try:
        return task.open_series(series.folder, options)
    except NaiadError as error:
        return error


def _noted(read: Callable[[], Unit]) -> tuple[list[str], Unit]:
    """Return the warnings of a function, and what it returns."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = read()
    return [str(one.message) for one in caught if one.category is UserWarning], found
