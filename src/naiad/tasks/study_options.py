"""Options of commands that take studies from an archive, or send results to one."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from naiad.console import complain
from naiad.core.fields import setting
from naiad.dicom.access import ArchiveAccess
from naiad.dicom.deidentified import Deidentification
from naiad.dicom.findings import KINDS, Kind
from naiad.dicom.places import open_sink, open_source
from naiad.dicom.rules import Rules
from naiad.dicom.sink import Sink
from naiad.dicom.source import Query, Study
from naiad.dicom.source import Source as Studies
from naiad.errors import InvalidInput, NaiadError
from naiad.tasks.sources import Input
from naiad.tasks.studies import FetchedScans, Outcome, StudyResults
from naiad.tasks.task import Source, Task
from naiad.tasks.units import Unit

PANEL: Final = "Studies in DICOM"


@dataclass(frozen=True, slots=True)
class StudyOptions:
    """Where studies come from, which series of them are taken, and where results go."""

    source: str | None = setting(
        None,
        "Take studies from a DICOMweb archive (https://host/dicom-web), a folder, a zip archive or "
        "a DICOMDIR, in place of files.",
        flag="from",
        metavar="PLACE",
    )
    to: str | None = setting(
        None,
        "Send results in DICOM to this DICOMweb archive, or folder; requires --from.",
        metavar="PLACE",
    )
    study: tuple[str, ...] = setting(
        (), "Take this study, by its StudyInstanceUID; may be repeated.", metavar="UID"
    )
    dates: str | None = setting(
        None,
        "Take studies of this date or range: 20261130, 20261101-20261130, 20261101-.",
        metavar="DATES",
    )
    match: tuple[str, ...] = setting(
        (),
        "Take studies with this value of an attribute, such as PatientID=7; may be repeated.",
        metavar="NAME=VALUE",
    )
    objects: tuple[str, ...] = setting(
        (),
        "Send these results: seg (segmentation), sr (report), capture (picture); by default all; "
        "may be repeated.",
        metavar="KIND",
    )
    rules: Rules = setting(Rules(), "Which series are taken.", panel="Series of studies")
    access: ArchiveAccess = setting(
        ArchiveAccess(), "Credentials.", panel="Access to the archive of studies"
    )
    privacy: Deidentification = setting(
        Deidentification(), "De-identification.", panel="De-identification of studies"
    )

    def check(self, *, paths: bool) -> None:
        """Check that the options fit each other.

        Args:
            paths: whether files were given.

        Raises:
            InvalidInput: they do not; says what to give.
        """
        if self.source is None:
            if self != StudyOptions():
                raise InvalidInput("options of studies require --from: an archive or a folder")
            return
        if paths:
            raise InvalidInput("give files, or --from with a place of studies, not both")
        self.privacy.check()
        if self.privacy.deidentified_images and self.to is None:
            raise InvalidInput("--deidentified-images requires --to: an archive or a folder")
        wrong = set(self.objects) - set(KINDS)
        if wrong:
            raise InvalidInput(f"--objects {', '.join(sorted(wrong))}: give {', '.join(KINDS)}")

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of results to send."""
        return tuple(kind for kind in KINDS if not self.objects or kind in self.objects)

    def open_source(self) -> Studies:
        """Open the place of studies; errors as of `naiad.dicom.places.open_source`."""
        assert self.source is not None
        source, privacy = open_source(self.source, self.access), self.privacy.opened()
        return source if privacy is None else privacy.source(source)

    def open_sink(self) -> Sink | None:
        """Open the place for results, if one was given."""
        if self.to is None:
            return None
        sink, privacy = open_sink(self.to, self.access), self.privacy.opened()
        return sink if privacy is None else privacy.sink(sink)

    def queries(self) -> list[Query]:
        """Return the searches that find the studies.

        Raises:
            InvalidInput: an attribute is not as NAME=VALUE.
        """
        pairs: list[tuple[str, str]] = []
        for text in self.match:
            name, _, value = text.partition("=")
            if not (name.isalnum() and value):
                raise InvalidInput(f"--match {text}: expected NAME=VALUE, such as PatientID=7")
            pairs.append((name, value))
        modality = self.rules.modality[0] if len(self.rules.modality) == 1 else None
        return [
            Query(uid, modality=modality, dates=self.dates, filters=tuple(pairs))
            for uid in self.study or [None]
        ]

    def find(self, source: Studies) -> Iterator[Study]:
        """Yield the studies, each once.

        Raises:
            InvalidInput: one that was asked for is not there; and as of `Source.studies`.
        """
        seen: set[str] = set()
        for query in self.queries():
            found = [study for study in source.studies(query) if study.uid not in seen]
            if not found and query.study is not None and query.study not in seen:
                raise InvalidInput(f"{self.source} has no study {query.study} that matches")
            seen.update(study.uid for study in found)
            yield from found


@dataclass(slots=True, eq=False)
class StudyInput:
    """Opens a study as an input of a task: fetched once, and kept until the process ends."""

    task: Any
    source: Studies
    study: Study
    chosen: StudyOptions
    options: Any
    scans: FetchedScans | None = None

    def __call__(self) -> Source[Any]:
        """Return its scans, which stay open.

        Raises:
            NaiadError: it cannot be fetched, or no series is taken.
        """
        if self.scans is None:
            self.scans = FetchedScans(
                self.task, self.source, self.study, self.chosen.rules, self.options
            )
            for left in self.scans.fetched.left_out:
                complain(f"study {self.study.uid}: left out: {left}")
        return _Kept(self.scans)


@dataclass(frozen=True, slots=True)
class _Kept:
    """A `Source` that stays open."""

    scans: FetchedScans

    def __len__(self) -> int:
        return len(self.scans)

    def read(self, numbers: range) -> Iterator[tuple[str, Any]]:
        return self.scans.read(numbers)

    def close(self) -> None:
        """Do nothing."""


def study_inputs(task: Task[Any, Any], chosen: StudyOptions, options: Any) -> list[Input]:
    """Return an input for each study that is found.

    Raises:
        InvalidInput: no study matches; and as of `StudyOptions.find`.
    """
    source = chosen.open_source()
    inputs = [
        Input(
            Path(study.uid),
            Path(f"{study.uid}.study"),
            opener=StudyInput(task, source, study, chosen, options),
        )
        for study in chosen.find(source)
    ]
    if not inputs:
        raise InvalidInput(f"{chosen.source} has no study that matches")
    return inputs


@dataclass(slots=True)
class Sending:
    """Results on their way to a place.

    Attributes:
        call: the model.
        sink: the place.
        kinds: of results.
        run: tells the results of this run from others.
        sent: number of instances.
    """

    call: StudyResults
    sink: Sink
    kinds: tuple[Kind, ...]
    run: str = field(default_factory=lambda: str(uuid.uuid4()))
    sent: int = 0

    def send(self, asked: Unit, result: Any) -> None:
        """Send the result of a scan.

        Raises:
            InvalidInput: the result cannot be sent; says why.
        """
        opener: Callable[[], Any] | None = asked.given.opener
        assert isinstance(opener, StudyInput)
        assert opener.scans is not None
        scans = opener.scans
        scan = scans.scans[asked.number]
        outcome = Outcome(asked.name, scan.series, scan.number, asked.value)
        found = self.call.outcome(outcome, result, scans.notes.get(asked.number, ()))
        try:
            self.sent += self.call.send(
                found,
                self.sink,
                run=self.run,
                kinds=self.kinds,
                images=opener.chosen.privacy.deidentified_images,
            )
        except NaiadError as error:
            raise InvalidInput(f"answered, but its results were not sent: {error}") from error
        for note in found.findings.notes if found.findings is not None else ():
            complain(f"{asked.name}: {note}")
