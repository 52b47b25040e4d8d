"""A user's scans for requests: NIfTI files as they are, or each volume of a file of many; DICOM
series converted to NIfTI.
"""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from naiad.applications.medical.nifti_files import (
    SUFFIXES,
    find_scans,
    is_whole,
    read_nifti,
    read_start,
)
from naiad.errors import InvalidInput, NaiadError
from naiad.files import files_below
from naiad.image_formats import SUFFIXES as PICTURES

if TYPE_CHECKING:
    from naiad.applications.medical.dicom import Series
    from naiad.applications.medical.nifti import Volume

ScanLike: TypeAlias = "Path | str | bytes | Volume | Series"
"""A NIfTI file (or a picture, for a bundle of pictures) as a path or as bytes; a folder, zip
archive or file with one DICOM series; a series; or a volume."""
File: TypeAlias = "bytes | Series"
"""A NIfTI file or picture, or a series that becomes a NIfTI file when it is sent."""

DICOM: Final = (".dcm", ".dicom")
MAX_FILE: Final = 1 << 30
"""Maximum size of a file as sent, in bytes."""


@dataclass(frozen=True, slots=True)
class Scan:
    """A scan in a list.

    Attributes:
        place: its place, for messages.
        path: its file, or the folder or archive of its series.
        series: the DICOM series, or None.
        number: index of the volume in its file, or None if it has one.
        error: about a DICOM file that cannot be used, which is in no series; or None.
    """

    place: str
    path: Path
    series: Series | None = None
    number: int | None = None
    error: InvalidInput | None = None

    def read(self) -> File:
        """Return the content of the file, or the series.

        Raises:
            InvalidInput: the scan cannot be read; says why.
        """
        if self.error is not None:
            raise self.error
        return read_nifti(self.path, MAX_FILE) if self.series is None else self.series


def as_file(file: File, position_tolerance: float | None = None) -> bytes:
    """Return a scan's file to send; convert a series, errors as of :meth:`Series.volume`."""
    if isinstance(file, bytes):
        return file
    return _written(file.volume(position_tolerance=position_tolerance))


def read_scan(scan: ScanLike) -> File:
    """Return a scan as a NIfTI file, or as a series; warn of DICOM files that cannot be used.

    Raises:
        InvalidInput: the scan cannot be read, or there are several series; names them.
        MissingExtra: the scan is DICOM, and pydicom is not installed.
    """
    if isinstance(scan, bytes):
        return scan
    if not isinstance(scan, Path | str):
        # Neither's class is imported here, as that needs nibabel or pydicom.
        is_volume = hasattr(scan, "affine")
        return _written(cast("Volume", scan)) if is_volume else cast("Series", scan)
    there = [one for path in find_inputs(Path(scan)) for one in scans_in(path)]
    found = [one for one in there if one.error is None]
    for one in there:
        if one.error is not None:
            warnings.warn(str(one.error), stacklevel=2)
    if len(found) > 1 and found[-1].number == len(found) - 1:
        return read_nifti(found[0].path, MAX_FILE)  # one file, whose volumes may be channels
    if len(found) > 1:
        listed = "; ".join(one.place for one in found[:5])
        raise InvalidInput(f"{scan} has {len(found)} scans, give one: {listed}")
    return found[0].read()


def find_inputs(path: Path) -> Iterator[Path]:
    """Yield the inputs at a path: a file, or the NIfTI files in and below a folder, by name.

    A pair of ``.hdr`` and ``.img`` is its header. A folder without NIfTI files yields its pictures
    or, for DICOM series, itself.
    """
    if not path.is_dir():
        yield from find_scans([path])
        return
    there = files_below(path)
    files = [p for p in there if p.name.lower().endswith(SUFFIXES) and is_whole(p)]
    if all(p.suffix.lower() in PICTURES for p in there):
        files = there
    yield from find_scans(files or [path])


def scans_in(path: Path) -> list[Scan]:
    """Return the volumes in a file, or the DICOM series in a zip archive, folder or DICOM file.

    DICOM files that cannot be used follow the series, as scans with an error.

    Raises:
        InvalidInput: a folder or archive has no series.
    """
    if not path.is_dir() and not _may_have_series(path):
        count = _volumes_in(path)
        if count == 1:
            return [Scan(str(path), path)]
        return [
            Scan(f"{path} (volume {number + 1} of {count})", path, number=number)
            for number in range(count)
        ]
    from naiad.applications.medical.dicom import find_series

    found = find_series(path)
    scans: list[Scan] = []
    for number, series in enumerate(found, start=1):
        about = f"{series.modality} {series.description}".strip() or series.uid
        place = f"{path} (series {number}: {about}, {len(series)} slices)"
        scans.append(Scan(place, path, series))
    return scans + [Scan(place, path, error=error) for place, error in found.refused]


def _may_have_series(path: Path) -> bool:
    if not path.is_file() or path.name.lower().endswith((*SUFFIXES, *PICTURES)):
        return path.suffix.lower() in (".zip", *DICOM)
    with path.open("rb") as file:
        start = file.read(132)
    dicom = start[128:] == b"DICM" or path.suffix.lower() in DICOM
    return dicom or path.suffix.lower() == ".zip" or zipfile.is_zipfile(path)


class Scans:
    """The scans in a file, archive or folder, each a unit of one file."""

    def __init__(self, path: Path) -> None:
        """Find the scans; raise as :func:`scans_in`."""
        self._scans = scans_in(path)

    def __len__(self) -> int:
        """Return the number of scans."""
        return len(self._scans)

    def read(self, numbers: range) -> Iterator[tuple[str, tuple[File, ...] | Exception]]:
        """Yield the place of each scan and its one file, or the error that reading it raised."""
        volumes: list[Volume] = []  # of a file of many, which is read once
        for number in numbers:
            scan = self._scans[number]
            try:
                if scan.number is None:
                    yield scan.place, (scan.read(),)
                    continue
                volumes = volumes or _volumes(scan.path)
                yield scan.place, (_written(volumes[scan.number]),)
            except NaiadError as error:
                yield scan.place, error

    def close(self) -> None:
        """Do nothing, as files are not kept open."""


def _volumes_in(path: Path) -> int:
    """Return the number of volumes in a file; 1 for any that the server will refuse."""
    if not path.name.lower().endswith(SUFFIXES):
        return 1
    from naiad.applications.medical.nifti import count_volumes

    try:
        return count_volumes(read_start(path))
    except NaiadError:
        return 1


def _volumes(path: Path) -> list[Volume]:
    from naiad.applications.medical.nifti import read_volumes

    return read_volumes(read_nifti(path, MAX_FILE), name=str(path))


def _written(volume: Volume) -> bytes:
    from naiad.applications.medical.nifti import write

    plain = volume.slope == 1 and volume.inter == 0
    voxels = volume.stored if plain else volume.voxels()
    return write(voxels, volume.affine, forms=volume.forms)
