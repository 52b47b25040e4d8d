"""A DICOMweb archive: QIDO-RS finds studies, WADO-RS fetches them, STOW-RS stores results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

from naiad.dicom.access import ArchiveAccess
from naiad.dicom.headers import best, choose, smaller
from naiad.dicom.rules import About, LeftOut, Rules
from naiad.dicom.sink import Reference, is_report_on
from naiad.dicom.source import Fetched, Query, SeriesFolder, Study
from naiad.dicom.web import Web, short
from naiad.errors import InvalidInput, MissingExtra, Unavailable

try:
    from pydicom.datadict import tag_for_keyword
    from pydicom.dataset import Dataset
    from pydicom.errors import InvalidDicomError
except ImportError as error:
    raise MissingExtra("dicomweb", error.name or "pydicom") from error

_FEW: Final = 8  # instances of a series that may have many frames each
_DUPLICATE: Final = 0x0111  # failure reason: the instance is stored already
_ANY: Final = (("application/dicom", "*"),)  # as stored, not decompressed by the archive


class Archive:
    """A `Source` and a `Sink` at a DICOMweb URL."""

    def __init__(self, url: str, access: ArchiveAccess | None = None) -> None:
        """Connect to nothing yet.

        Args:
            url: of the DICOMweb root, such as ``https://host/dicom-web``.
            access: credentials and limits.

        Raises:
            InvalidInput: the URL has a password in it, the file of an authority is missing, or
                credentials would travel unencrypted.
        """
        self.url = url.rstrip("/")
        self._web = Web(self.url, access or ArchiveAccess())

    def studies(self, query: Query) -> Iterator[Study]:
        """Yield the studies that match; errors as of `Source.studies`."""
        filters = dict(query.filters)
        for name in filters:
            if tag_for_keyword(name) is None:  # archives leave out what they do not know
                raise InvalidInput(
                    f"{name} is no attribute of DICOM's; give its keyword, as PatientID"
                )
        if query.study is not None:
            filters["StudyInstanceUID"] = query.study
        if query.modality is not None:
            filters["ModalitiesInStudy"] = query.modality
        if query.dates is not None:
            filters["StudyDate"] = query.dates
        fields = ["ModalitiesInStudy", "NumberOfStudyRelatedInstances"]
        pages = self._web.pages(
            "studies",
            lambda **page: self._web.client.search_for_studies(
                search_filters=filters, fields=fields, **page
            ),
        )
        for one in islice(pages, query.most):
            uid = str(one.get("StudyInstanceUID", ""))
            if not uid:
                raise InvalidInput(f"{self.url}/studies lists a study without a StudyInstanceUID")
            if query.study not in (None, uid):  # an archive that leaves out a filter
                continue
            yield Study(
                uid,
                str(one.get("StudyDate") or ""),
                _texts(one.get("ModalitiesInStudy")),
                int(one.get("NumberOfStudyRelatedInstances") or 0),
            )

    def series(self, study: Study) -> list[About]:
        """Return the series of a study.

        Raises:
            NaiadError: as of `Source.fetch`.
        """
        fields = ["SeriesDescription", "NumberOfSeriesRelatedInstances", "SeriesNumber"]
        found = self._web.pages(
            f"studies/{study.uid}/series",
            lambda **page: self._web.client.search_for_series(study.uid, fields=fields, **page),
            missing=[],
        )
        return [_about(one) for one in found]

    def fetch(self, study: Study, folder: Path, rules: Rules) -> Fetched:
        """Fetch the chosen series; errors as of `Source.fetch`."""
        known = self.series(study)
        if not known:
            raise InvalidInput(f"{self.url} has no study {study.uid}, or none of its series")
        taken: list[SeriesFolder] = []
        left: list[LeftOut] = []
        # The largest first: a smaller one need not be fetched.
        for number, about in enumerate(sorted(known, key=lambda one: -one.images)):
            if reason := rules.refuses(about):
                left.append(LeftOut(about, reason))
                continue
            most = max((one.about for one in taken), key=lambda one: one.images, default=None)
            if rules.take_one and most and _FEW < about.images <= most.images:
                left.append(smaller(about, most))
                continue
            place = folder / f"series{number:03}"
            files = self._web.asked(
                f"studies/{study.uid}/series/{about.uid}",
                lambda about=about, place=place: self.download(study.uid, about, place),
            )
            found = choose(place, files, about, rules)
            if isinstance(found, SeriesFolder):
                taken.append(found)
            else:
                left.append(found)
        taken, others = best(taken, rules)
        return Fetched(study, tuple(taken), (*left, *others))

    def send(self, instances: Sequence[Dataset]) -> None:
        """Store those instances that are not stored; errors as of `Sink.send`."""
        for one in instances:
            study, uid = str(one.StudyInstanceUID), str(one.SOPInstanceUID)
            if self.has(study, uid):
                continue
            if not getattr(one, "preamble", None):
                one.preamble = b"\0" * 128  # of each file, which dicomweb-client leaves out
            answer = self._web.asked(
                f"studies/{study}",
                lambda one=one, study=study: self._web.client.store_instances([one], study),
            )
            self._check_stored(answer, study, uid)

    def has(self, study: str, instance: str) -> bool:
        """Return whether an instance is stored; errors as of `Sink.has`."""
        path = f"studies/{study}/instances"
        found = self._web.asked(
            path,
            lambda: self._web.client.search_for_instances(
                study, search_filters={"SOPInstanceUID": instance}
            ),
            missing=[],
        )
        # Not bool(found): an archive may leave out a filter.
        return any(self._web.parsed(path, one).get("SOPInstanceUID") == instance for one in found)

    def reports(self, study: str, series: str) -> list[Reference]:
        """Return Naiad's reports on a series; errors as of `Sink.reports`."""
        reports: list[Reference] = []
        for about in self.series(Study(study)):
            if about.modality != "SR":
                continue
            path = f"studies/{study}/series/{about.uid}/metadata"
            found = self._web.asked(
                path,
                lambda about=about: self._web.client.retrieve_series_metadata(study, about.uid),
                missing=[],
            )
            whole = (self._web.parsed(path, one) for one in found)
            reports += [Reference.to(one) for one in whole if is_report_on(one, series)]
        return reports

    def close(self) -> None:
        """Close connections."""
        self._web.close()

    def download(self, study: str, about: About, place: Path) -> list[Path]:
        """Write each instance of a series to a file as it arrives.

        Raises:
            Unavailable: instances are missing.
        """
        place.mkdir(parents=True, exist_ok=True)
        for before in place.iterdir():  # of a try that failed
            before.unlink()
        files: list[Path] = []
        url = f"{self.url}/studies/{study}/series/{about.uid}"
        try:
            for one in self._web.client.iter_series(study, about.uid, media_types=_ANY):
                if not _is_whole(one):
                    raise Unavailable(f"{url} broke off in instance {len(files) + 1:,}")
                path = place / f"{len(files):05}.dcm"
                one.save_as(path, enforce_file_format=True)
                files.append(path)
        except (ValueError, EOFError, InvalidDicomError) as error:
            if not files:
                raise
            raise Unavailable(
                f"{url} broke off after {len(files):,} instances: {short(error)}"
            ) from error
        if len(files) < about.images:
            raise Unavailable(f"{url} sent {len(files):,} of {about.images:,} instances")
        return files

    def _check_stored(self, answer: Dataset, study: str, uid: str) -> None:
        for failed in answer.get("FailedSOPSequence") or ():
            reason = int(failed.get("FailureReason") or 0)
            if reason != _DUPLICATE:
                raise InvalidInput(
                    f"{self.url}/studies/{study} refused the instance {uid}, with failure reason "
                    f"0x{reason:04X}; its log says why"
                )
        stored = {
            str(one.get("ReferencedSOPInstanceUID"))
            for one in answer.get("ReferencedSOPSequence") or ()
        }
        if uid not in stored and not self.has(study, uid):
            raise Unavailable(f"{self.url}/studies/{study} did not store the instance {uid}")


def _about(one: Dataset) -> About:
    number = one.get("SeriesNumber")
    return About(
        uid=str(one.get("SeriesInstanceUID", "")),
        modality=str(one.get("Modality") or ""),
        description=str(one.get("SeriesDescription") or ""),
        number=None if number is None else int(number),
        images=int(one.get("NumberOfSeriesRelatedInstances") or 0),
    )


def _is_whole(one: Dataset) -> bool:
    """Return whether pixels that are not compressed are all there."""
    if "PixelData" not in one or one.file_meta.TransferSyntaxUID.is_compressed:
        return True
    bits = int(one.get("BitsAllocated") or 0) * int(one.get("SamplesPerPixel") or 1)
    pixels = int(one.get("Rows") or 0) * int(one.get("Columns") or 0)
    pixels *= int(one.get("NumberOfFrames") or 1)
    subsampled = str(one.get("PhotometricInterpretation", "")).endswith("_422")
    return len(one.PixelData) >= bits * pixels // (16 if subsampled else 8)


def _texts(value: Any) -> tuple[str, ...]:
    if value is None or value == "":
        return ()
    return (value,) if isinstance(value, str) else tuple(map(str, value))
