"""Studies in a folder, a zip archive or a DICOMDIR; and a folder that results are written to."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from naiad.dicom.files import DicomFile, files_at
from naiad.dicom.headers import Header, best, choose, merged, read_header
from naiad.dicom.rules import LeftOut, Rules
from naiad.dicom.sink import Reference, is_report_on
from naiad.dicom.source import Fetched, Query, SeriesFolder, Study
from naiad.errors import InvalidInput, MissingExtra, NaiadError
from naiad.files import whole_file

try:
    from pydicom import dcmread
except ImportError as error:
    raise MissingExtra("dicomweb", error.name or "pydicom") from error

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


class Folder:
    """A `Source` of the studies in a folder, a zip archive, a DICOMDIR or a file."""

    def __init__(self, path: Path) -> None:
        """Read all headers.

        Raises:
            InvalidInput: it does not exist, or has no DICOM file.
        """
        if not path.exists():
            raise InvalidInput(f"{path}: no such file or folder")
        self.path = path
        self._damaged: list[str] = []
        self._files: dict[str, dict[str, list[tuple[DicomFile, Header]]]] = {}
        for file in files_at(path):
            try:
                with file.open() as data:
                    header = read_header(data, str(file))
            except InvalidInput as error:
                self._damaged.append(str(error))
                continue
            if header is not None:
                series = self._files.setdefault(header.study, {})
                series.setdefault(header.about.uid, []).append((file, header))
        if not self._files:
            said = f": {self._damaged[0]}" if self._damaged else ""
            raise InvalidInput(f"{path} has no DICOM files{said}")

    def studies(self, query: Query) -> Iterator[Study]:
        """Yield the studies that match, by their UIDs; see :meth:`_found`."""
        return islice(self._found(query), query.most)

    def _found(self, query: Query) -> Iterator[Study]:
        """Yield the studies that match.

        Raises:
            InvalidInput: the query has filters that only an archive knows.
        """
        if query.filters:
            names = ", ".join(name for name, _ in query.filters)
            raise InvalidInput(f"{self.path} is searched by study, modality and date, not {names}")
        for uid, series in sorted(self._files.items()):
            headers = [header for files in series.values() for _, header in files]
            study = Study(
                uid,
                headers[0].date,
                tuple(sorted({header.about.modality for header in headers})),
                len(headers),
            )
            if query.study not in (None, uid) or not _within(study.date, query.dates):
                continue
            if query.modality not in (None, *study.modalities):
                continue
            yield study

    def fetch(self, study: Study, folder: Path, rules: Rules) -> Fetched:
        """Link or unpack the chosen series.

        Raises:
            InvalidInput: there is no such study.
        """
        if study.uid not in self._files:
            raise InvalidInput(f"{self.path} has no study {study.uid}")
        taken: list[SeriesFolder] = []
        left: list[LeftOut] = []
        for number, (_, files) in enumerate(sorted(self._files[study.uid].items())):
            about = merged(header for _, header in files)
            if reason := rules.refuses(about):
                left.append(LeftOut(about, reason))
                continue
            place = folder / f"series{number:03}"
            place.mkdir(parents=True, exist_ok=True)
            paths = [_put(file, place / f"{n:05}.dcm") for n, (file, _) in enumerate(files)]
            found = choose(place, paths, about, rules)
            (taken if isinstance(found, SeriesFolder) else left).append(found)  # pyright: ignore[reportArgumentType]
        taken, others = best(taken, rules)
        return Fetched(study, tuple(taken), (*left, *others))

    def close(self) -> None:
        """Do nothing, as files are not kept open."""


class FolderSink:
    """A `Sink` that writes ``STUDY/SERIES/INSTANCE.dcm`` below a folder."""

    def __init__(self, path: Path) -> None:
        """Write below ``path``, which is made when something is written."""
        self.path = path

    def send(self, instances: Sequence[Dataset]) -> None:
        """Write the instances; one that is there is not replaced.

        Raises:
            NaiadError: a file cannot be written.
        """
        for one in instances:
            path = self._path(one.StudyInstanceUID, one.SeriesInstanceUID, one.SOPInstanceUID)
            if not path.exists():
                with whole_file(path) as draft:
                    one.save_as(draft, enforce_file_format=True)

    def has(self, study: str, instance: str) -> bool:
        """Return whether there is a file of that instance."""
        return any((self.path / study).glob(f"*/{instance}.dcm"))

    def reports(self, study: str, series: str) -> list[Reference]:
        """Return Naiad's reports on a series that are below the folder."""
        found = (dcmread(path) for path in sorted((self.path / study).glob("*/*.dcm")))
        return [Reference.to(one) for one in found if is_report_on(one, series)]

    def close(self) -> None:
        """Do nothing."""

    def _path(self, study: str, series: str, instance: str) -> Path:
        for uid in (study, series, instance):
            if not uid or uid.strip("0123456789."):
                raise NaiadError(f"{uid!r} is not a UID, and cannot be the name of a file")
        return self.path / study / series / f"{instance}.dcm"


def _put(file: DicomFile, path: Path) -> Path:
    """Link a file of a folder, or unpack one of an archive."""
    if path.is_symlink() or path.exists():
        path.unlink()
    if file.member is None:
        path.symlink_to(file.path.resolve())
    else:
        with file.open() as data, path.open("wb") as out:
            shutil.copyfileobj(data, out)
    return path


def _within(date: str, dates: str | None) -> bool:
    """Return whether a date is in a range as DICOM queries have it: ``A-B``, ``A-``, ``-B``."""
    if dates is None:
        return True
    first, dash, last = dates.partition("-")
    if not dash:
        return fnmatchcase(date, dates)
    return bool(date) and (not first or date >= first) and (not last or date <= last)
