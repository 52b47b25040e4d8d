"""Findings as DICOM instances: a segmentation, a report, a picture."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

from naiad.dicom.findings import KINDS, Algorithm, Findings, Kind
from naiad.dicom.identity import Origin, as_sources
from naiad.dicom.sink import Reference
from naiad.dicom.source import SeriesFolder
from naiad.dicom.uids import uid_of
from naiad.errors import InvalidInput, MissingExtra

try:
    from pydicom import dcmread
except ImportError as error:
    raise MissingExtra("dicomweb", error.name or "pydicom") from error

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


def instances(
    findings: Findings,
    series: SeriesFolder,
    algorithm: Algorithm,
    *,
    run: str,
    scan: int = 0,
    kinds: Sequence[Kind] = KINDS,
    previous: Sequence[Reference] = (),
) -> list[Dataset]:
    """Return the instances of a result; those that do not apply are left out.

    They carry the identity of patient and study of the source, and none of its private tags; they
    are in new series. Their UIDs follow from ``run`` and the source series (see :func:`uids`):
    the same run gives the same ones, any other run others.

    Args:
        findings: of the task.
        series: they were found in.
        algorithm: by which they were found.
        run: any text that tells this run from others, such as a UUID.
        scan: number of the scan in its series, from 0.
        kinds: that are wanted.
        previous: earlier reports on this series, which the report refers to.

    Raises:
        InvalidInput: label maps do not lie on the slices of the series, or a header lacks what a
            result needs; says which.
        MissingExtra: highdicom is not installed.
    """
    from naiad.dicom.capture import capture
    from naiad.dicom.seg import segmentation
    from naiad.dicom.sr import report

    made: list[Dataset] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values in the source that break a rule
        headers = [dcmread(path, stop_before_pixels=True) for path in series.files()]
        origin = Origin(as_sources(headers), algorithm, run, scan)
        try:
            mapped = segmentation(findings, origin) if "seg" in kinds else None
            if mapped is not None:
                made.append(mapped[0])
            if "sr" in kinds:
                made.append(report(findings, origin, mapped, previous))
            if "capture" in kinds and findings.picture is not None:
                made.append(capture(findings.picture, origin))
        except (AttributeError, TypeError, ValueError, KeyError) as error:
            # highdicom's, about headers
            raise InvalidInput(
                f"{series.about}: its headers allow no result in DICOM: {error}"
            ) from error
        return [origin.finish(one) for one in made]


def uids(series: str, *, run: str, scan: int = 0, kinds: Sequence[Kind] = KINDS) -> list[str]:
    """Return the SOPInstanceUIDs that :func:`instances` gives its results, by kind, in order.

    They are known before the result: a journal may note them before anything is sent.
    """
    return [uid_of(run, series, str(scan), kind, "instance") for kind in kinds]
