"""Where studies come from: an archive or a folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from naiad.dicom.rules import About, LeftOut, Rules


@dataclass(frozen=True, slots=True)
class Study:
    """A study that was found. It has no name of a patient.

    Attributes:
        uid: StudyInstanceUID.
        date: StudyDate as ``YYYYMMDD``, or "".
        modalities: of its series, as far as known.
        instances: number of its instances at the time; 0 if the archive does not say.
    """

    uid: str
    date: str = ""
    modalities: tuple[str, ...] = ()
    instances: int = 0


@dataclass(frozen=True, slots=True)
class Query:
    """A search for studies.

    Attributes:
        study: a StudyInstanceUID, or None for all.
        modality: of a series of the study, such as ``CT``.
        dates: StudyDate, as in DICOM: ``20261130``, ``20261101-20261130``, ``20261101-``.
        filters: further attributes to match, by keyword, such as ``{"PatientID": "7"}``; ``*`` and
            ``?`` are wild cards.
        most: number of studies after which the search ends; None for all.
    """

    study: str | None = None
    modality: str | None = None
    dates: str | None = None
    filters: tuple[tuple[str, str], ...] = ()
    most: int | None = None


@dataclass(frozen=True, slots=True)
class SeriesFolder:
    """A series that was chosen, in a folder of its own.

    Attributes:
        about: its attributes.
        folder: with the files of its images only.
        notes: files that were left out of the folder and other tolerances that were used, each as
            a sentence; they belong to the result.
    """

    about: About
    folder: Path
    notes: tuple[str, ...] = ()

    def files(self) -> list[Path]:
        """Return its files, by name."""
        return sorted(path for path in self.folder.iterdir() if path.is_file())


@dataclass(frozen=True, slots=True)
class Fetched:
    """The chosen series of a study.

    Attributes:
        study: as it was found.
        series: those chosen; empty if no rule matched.
        left_out: the others, each with the reason.
    """

    study: Study
    series: tuple[SeriesFolder, ...]
    left_out: tuple[LeftOut, ...] = field(default=())


class Source(Protocol):
    """Where studies are found, and fetched from; usable from several threads."""

    def studies(self, query: Query) -> Iterator[Study]:
        """Yield the studies that match, page by page, in the order of the source.

        Raises:
            Unavailable: it cannot be reached, or is overloaded; try later.
            NotAllowed: it refuses the credentials.
            InvalidInput: it answers nonsense, or does not understand the query.
        """
        ...

    def fetch(self, study: Study, folder: Path, rules: Rules) -> Fetched:
        """Fetch the series of a study that the rules choose, each to a folder in ``folder``.

        Memory holds one instance at a time. What is known before the fetch (modality, description,
        number of images) is checked before, and the rest by the files' headers.

        Raises:
            Unavailable: it cannot be reached, or an answer ended early; ``folder`` may have a part
                of the files, and can be used again.
            NotAllowed: it refuses the credentials.
            InvalidInput: there is no such study, or it answers nonsense.
        """
        ...

    def close(self) -> None:
        """Close connections."""
        ...


def chosen(found: Sequence[SeriesFolder], left_out: Sequence[LeftOut], study: Study) -> Fetched:
    """Return what was fetched of a study."""
    return Fetched(study, tuple(found), tuple(left_out))
