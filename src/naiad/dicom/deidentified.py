"""De-identification between an archive and all that is made of its studies.

Images are de-identified as soon as they are fetched: requests to the model, results, tables and
pictures are made of the de-identified ones, and so have no identity to lose. Only dates of today
and the like remain for the sink to take out of results.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from naiad.core.fields import option_name, setting
from naiad.dicom.pseudonyms import IdentityMap, Pseudonyms, read_key
from naiad.dicom.rules import About, LeftOut, Rules
from naiad.dicom.sink import Reference, Sink
from naiad.dicom.source import Fetched, Query, SeriesFolder, Source, Study
from naiad.errors import InvalidInput, NaiadError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from naiad.dicom.deidentify import Deidentifier


@dataclass(frozen=True, slots=True)
class Deidentification:
    """De-identification of images and results. Fields are options of commands."""

    deidentify: bool = setting(
        False,
        "De-identify images and results by DICOM's Basic Application Level Confidentiality "
        "Profile, before anything is asked, written or sent.",
    )
    deidentify_key: Path | None = setting(
        None,
        "File with the key of the pseudonyms, made if there is none: runs with the same key give "
        "a patient or study the same ones. By default each run has its own.",
        metavar="FILE",
    )
    deidentify_map: Path | None = setting(
        None,
        "File to append the old and the new identifiers to. By default nothing links them.",
        metavar="FILE",
    )
    deidentified_images: bool = setting(
        False, "Also send the de-identified images, which the results refer to."
    )

    def check(self) -> None:
        """Check that the options fit each other.

        Raises:
            InvalidInput: one is given without ``--deidentify``.
        """
        for one in fields(self):
            if getattr(self, one.name) and not self.deidentify:
                raise InvalidInput(f"{option_name(one)} requires --deidentify")

    def opened(self, key: bytes | None = None) -> Privacy | None:
        """Return what these options ask for; None without ``--deidentify``.

        Args:
            key: of the pseudonyms, where no file is named; by default a random one.

        Raises:
            InvalidInput: another option is given without it, or a file cannot be used.
            MissingExtra: dicom-anonymizer is not installed.
        """
        self.check()
        if not self.deidentify:
            return None
        key = key if self.deidentify_key is None else read_key(self.deidentify_key)
        identities = None if self.deidentify_map is None else IdentityMap(self.deidentify_map)
        return Privacy(Pseudonyms(key), identities)


class Privacy:
    """De-identification in progress.

    Attributes:
        pseudonyms: by which identifiers are replaced.
    """

    def __init__(self, pseudonyms: Pseudonyms, identities: IdentityMap | None = None) -> None:
        """Write old and new identifiers to ``identities``, if there is one.

        Raises:
            MissingExtra: dicom-anonymizer is not installed.
        """
        from naiad.dicom.deidentify import Deidentifier, require_table

        require_table()
        self.pseudonyms = pseudonyms
        self._identities = identities
        self._deidentifier: Deidentifier = Deidentifier(pseudonyms)

    def source(self, source: Source) -> Source:
        """Return a source whose studies have new UIDs, and whose series are de-identified.

        It fetches a study by its new UID or, whether it listed it or not, by the original.
        """
        return _Source(source, self)

    def sink(self, sink: Sink) -> Sink:
        """Return a sink for the de-identified images, and for results that were made of them."""
        return _Sink(sink, self._deidentifier)

    def text(self, text: object) -> str:
        """Return a message with new UIDs in place of the old."""
        return self._deidentifier.text(str(text))

    def study(self, study: Study) -> Study:
        """Return a study with its new UID, without its date."""
        return replace(study, uid=self.pseudonyms.uid(study.uid, "study"), date="")

    def fetched(self, fetched: Fetched) -> Fetched:
        """De-identify the files of fetched series; no original stays in their folders.

        Raises:
            InvalidInput: a file cannot be de-identified; says which and why.
        """
        study = self.study(fetched.study)
        series = tuple(self._series(one) for one in fetched.series)
        if self._identities is not None:
            self._identities.add(self.pseudonyms)
        left_out = tuple(
            LeftOut(self._about(one.about), self.text(one.reason))
            for one in fetched.left_out
            if not one.about.description or one.about.description not in one.reason
        )
        return Fetched(study, series, left_out)

    def _series(self, series: SeriesFolder) -> SeriesFolder:
        import pydicom

        about = self._about(series.about)
        folder = series.folder.parent / about.uid
        folder.mkdir()
        notes: dict[str, None] = {self.text(note): None for note in series.notes}
        for number, path in enumerate(series.files()):
            dataset = pydicom.dcmread(path, force=True)
            notes[self._deidentifier.image(dataset, str(path))] = None
            pydicom.dcmwrite(folder / f"{number:06d}.dcm", dataset, enforce_file_format=True)
        shutil.rmtree(series.folder)
        return SeriesFolder(about, folder, tuple(filter(None, notes)))

    def _about(self, about: About) -> About:
        return replace(about, uid=self.pseudonyms.uid(about.uid, "series"), description="")


class _Source:
    def __init__(self, source: Source, privacy: Privacy) -> None:
        self._source, self._privacy = source, privacy
        self._originals: dict[str, Study] = {}

    def studies(self, query: Query) -> Iterator[Study]:
        for study in self._source.studies(query):
            new = self._privacy.study(study)
            self._originals[new.uid] = study
            yield new

    def fetch(self, study: Study, folder: Path, rules: Rules) -> Fetched:
        original = self._originals.get(study.uid, study)
        try:
            return self._privacy.fetched(self._source.fetch(original, folder, rules))
        except NaiadError as error:  # it has the UIDs of the request
            error.args = tuple(map(self._privacy.text, error.args))
            raise

    def close(self) -> None:
        self._source.close()


class _Sink:
    def __init__(self, sink: Sink, deidentifier: Deidentifier) -> None:
        self._sink, self._deidentifier = sink, deidentifier

    def send(self, instances: Sequence[Dataset]) -> None:
        for instance in instances:
            if instance.get("PatientIdentityRemoved") != "YES":  # images are done
                self._deidentifier.result(instance)
        self._sink.send(instances)

    def has(self, study: str, instance: str) -> bool:
        return self._sink.has(study, instance)

    def reports(self, study: str, series: str) -> list[Reference]:
        return self._sink.reports(study, series)

    def close(self) -> None:
        self._sink.close()
