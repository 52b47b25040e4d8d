"""Scans of a user's: NIfTI files as they are, DICOM series made NIfTI, for a request."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from naiad.errors import InvalidInput
from naiad.files import read_file

if TYPE_CHECKING:
    from naiad.applications.medical.dicom import Series
    from naiad.applications.medical.nifti import Volume

ScanLike: TypeAlias = "Path | str | bytes | Volume"
"""A NIfTI file (or a picture, for a bundle that takes such) by its path, or what is in it; a folder
or zip archive with one DICOM series; or a volume that was read."""

SUFFIXES: Final = (".nii", ".nii.gz")
PICTURES: Final = (".jpg", ".jpeg", ".png")
MAX_FILE: Final = 1 << 30
"""Largest file that is sent, in bytes; as it is, gzipped or not."""


@dataclass(frozen=True, slots=True)
class Scan:
    """One scan of a list.

    Attributes:
        name: for files that are written about it.
        place: where it is, for messages.
        path: its file, or where its series is.
        series: of DICOM, or None.
    """

    name: str
    place: str
    path: Path
    series: Series | None = None

    def read(self) -> bytes:
        """The file, or the series as a NIfTI file.

        Raises:
            InvalidInput: it cannot be read; says why.
        """
        return (
            read_file(self.path, MAX_FILE)
            if self.series is None
            else _written(self.series.volume())
        )


def read_scan(scan: ScanLike) -> bytes:
    """A scan as a NIfTI file.

    Raises:
        InvalidInput: it cannot be read, or there are several series; names them.
        MissingExtra: it is DICOM, and pydicom is not installed.
    """
    if isinstance(scan, bytes):
        return scan
    if not isinstance(scan, Path | str):
        return _written(scan)
    found = list(find_scans([Path(scan)]))
    if len(found) > 1:
        listed = "; ".join(one.place for one in found[:5])
        raise InvalidInput(f"{scan} has {len(found)} scans, give one: {listed}")
    return found[0].read()


def find_scans(paths: Iterable[Path]) -> Iterator[Scan]:
    """Files as they are given; of a folder, the NIfTI files in it and below, by name, or else the
    DICOM series, or its pictures where it has nothing else; of a zip archive, the DICOM series.

    Raises:
        InvalidInput: a folder or archive has neither.
    """
    for path in paths:
        if path.is_dir():
            there = sorted(p for p in path.rglob("*") if p.is_file())
            files = [p for p in there if p.name.lower().endswith(SUFFIXES)]
            if all(p.suffix.lower() in PICTURES for p in there):
                files = there
            yield from map(_of_file, files) if files else _of_series(path)
        elif path.suffix.lower() == ".zip" or (path.is_file() and zipfile.is_zipfile(path)):
            yield from _of_series(path)
        else:
            yield _of_file(path)


def _of_file(path: Path) -> Scan:
    return Scan(Path(path.name.removesuffix(".gz")).stem, str(path), path)


def _of_series(path: Path) -> Iterator[Scan]:
    from naiad.applications.medical.dicom import find_series

    found = find_series(path)
    stem = path.resolve().name if path.is_dir() else path.stem
    for number, series in enumerate(found, start=1):
        about = f"{series.modality} {series.description}".strip() or series.uid
        place = f"{path} (series {number}: {about}, {len(series)} slices)"
        yield Scan(stem if len(found) == 1 else f"{stem}_{number}", place, path, series)


def _written(volume: Volume) -> bytes:
    from naiad.applications.medical.nifti import write

    plain = volume.slope == 1 and volume.inter == 0
    return write(volume.stored if plain else volume.voxels(), volume.affine)
