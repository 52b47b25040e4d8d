"""Findings as DICOM instances: a segmentation, a report, a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

from naiad.dicom.findings import Algorithm, Findings
from naiad.dicom.source import SeriesFolder

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

Kind: TypeAlias = Literal["seg", "sr", "capture"]


def instances(
    findings: Findings,
    series: SeriesFolder,
    algorithm: Algorithm,
    *,
    run: str,
    scan: int = 0,
    kinds: Sequence[Kind] = ("seg", "sr", "capture"),
    previous: Sequence[tuple[str, str]] = (),
) -> list[Dataset]:
    """Return the instances of a result; those that do not apply are left out.

    They carry the identity of patient and study of the source, and none of its private tags; they
    are in new series. Their UIDs follow from ``run`` and the source series (see :func:`uid_of`):
    the same run gives the same ones, any other run others.

    Args:
        findings: of the task.
        series: they were found in.
        algorithm: by which they were found.
        run: any text that tells this run from others, such as a UUID.
        scan: number of the scan in its series, from 0.
        kinds: that are wanted.
        previous: SOP class and instance UIDs of earlier results on this series, which the report
            refers to.

    Raises:
        InvalidInput: label maps do not lie on the slices of the series, or a header lacks what a
            result needs; says which.
        MissingExtra: highdicom is not installed.
    """
    raise NotImplementedError


def uids(
    series: str, *, run: str, scan: int = 0, kinds: Sequence[Kind] = ("seg", "sr", "capture")
) -> list[str]:
    """Return the SOPInstanceUIDs that :func:`instances` gives its results, by kind, in order.

    They are known before the result: a journal may note them before anything is sent.
    """
    return [uid_of(run, series, str(scan), kind, "instance") for kind in kinds]


def uid_of(run: str, *parts: str) -> str:
    """Return the UID of a part of a run: below 2.25, by SHA-256 of its texts."""
    from hashlib import sha256

    digest = sha256("\0".join((run, *parts)).encode()).digest()[:16]
    return f"2.25.{int.from_bytes(digest, 'big')}"
