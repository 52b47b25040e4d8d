"""Conversion of DICOM series to volumes: sorted slices, in Hounsfield units or as stored.

A series is a folder, or a zip archive, of files with one slice each, as scanners and archives
export them. Slices are sorted by position, not by name or number, and scaled by their own rescale
slope and intercept. The affine follows from position, orientation and pixel spacing (DICOM PS3.3,
C.7.6.2), in NIfTI's directions: right, anterior, superior.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from naiad.applications.medical.nifti import MAX_BYTES, Volume
from naiad.core.schema import Array
from naiad.errors import InvalidInput, MissingExtra
from naiad.files import files_below, is_sidecar

try:
    import pydicom
    from pydicom.errors import InvalidDicomError
except ImportError as error:
    raise MissingExtra("bundle-client", error.name or "pydicom") from error

_MOST_FILES: Final = 20_000
_LARGEST_FILE: Final = 256 << 20  # one slice, uncompressed
_TOLERANCE: Final = 1e-3  # of direction cosines, and in millimetres within a slice
_UNEVEN: Final = 0.05  # share of the spacing by which a gap may differ; positions are rounded
_TO_RAS: Final = np.diag([-1.0, -1.0, 1.0])  # DICOM's axes point left, posterior, superior

# The tags that are read of a header; the pixels are read later, one slice at a time.
_TAGS: Final = (
    *("SeriesInstanceUID", "SeriesDescription", "SeriesNumber", "Modality", "NumberOfFrames"),
    *("Rows", "Columns", "SamplesPerPixel", "BitsStored", "PixelRepresentation", "PixelSpacing"),
    *("ImagePositionPatient", "ImageOrientationPatient", "SliceThickness"),
    *("RescaleSlope", "RescaleIntercept"),
)


@dataclass(frozen=True, slots=True)
class _File:
    """A file in a folder or in a zip archive."""

    path: Path
    member: zipfile.ZipInfo | None = None

    def __str__(self) -> str:
        return str(self.path) if self.member is None else f"{self.path}: {self.member.filename}"

    @contextmanager
    def open(self) -> Generator[IO[bytes]]:
        try:
            if self.member is None:
                with self.path.open("rb") as file:
                    yield file
                return
            with zipfile.ZipFile(self.path) as archive, archive.open(self.member) as file:
                yield file
        except (OSError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
            raise InvalidInput(f"{self} cannot be read: {error}") from error


@dataclass(frozen=True, slots=True)
class _Slice:
    """A slice: its file and its header."""

    file: _File
    header: Any

    def vector(self, tag: str, size: int) -> NDArray[np.float64]:
        """Return the ``size`` numbers of a tag.

        Raises:
            InvalidInput: the tag is missing or has another number of them.
        """
        found = self.header.get(tag)
        values = np.array(found if found is not None else [], np.float64)
        if values.shape != (size,) or not np.isfinite(values).all():
            what = "has no" if found is None else f"has {list(values)} as"
            raise InvalidInput(f"{self.file} {what} {tag}; a slice needs its {size} numbers")
        return values

    @property
    def rescale(self) -> tuple[float, float]:
        """Slope and intercept."""
        slope = self.header.get("RescaleSlope")
        intercept = self.header.get("RescaleIntercept")
        return (1.0 if slope is None else float(slope), float(intercept or 0.0))


@dataclass(frozen=True, slots=True)
class Series:
    """The slices of one series.

    Attributes:
        uid: its SeriesInstanceUID.
        description: its name by the scanner's operator, or "".
        modality: ``CT``, ``MR``, ...
    """

    uid: str
    description: str
    modality: str
    _slices: tuple[_Slice, ...]

    def __len__(self) -> int:
        """Return the number of slices."""
        return len(self._slices)

    def volume(self) -> Volume:
        """Read the slices, as integers if slope and intercept are integers, else as float32.

        Raises:
            InvalidInput: slices do not fit together, one is missing or repeated, or pixels cannot
                be decoded; names the file and says what to do.
        """
        slices, affine = _arranged(self._slices)
        rows, columns = int(slices[0].header.Rows), int(slices[0].header.Columns)
        dtype = _dtype(slices)
        size = rows * columns * len(slices) * dtype.itemsize
        if size > MAX_BYTES:
            raise InvalidInput(
                f"{slices[0].file}: {columns} x {rows} x {len(slices)} voxels are {size:,} bytes; "
                f"a volume may have {MAX_BYTES:,}"
            )
        voxels = np.empty((columns, rows, len(slices)), dtype, order="F")
        for number, one in enumerate(slices):
            slope, intercept = one.rescale
            values = _pixels(one, rows, columns) * slope + intercept
            voxels[:, :, number] = values.T
        return Volume(voxels, 1.0, 0.0, affine)


def find_series(path: Path) -> list[Series]:
    """Find the series in a folder and its subfolders, or in a zip archive, the largest first.

    Files that are not DICOM, or have no image, are skipped.

    Raises:
        InvalidInput: no series was found, or the archive is damaged or too large.
    """
    found: dict[str, list[_Slice]] = {}
    for file in _files(path):
        header = _header(file)
        if header is not None:
            uid = str(header.get("SeriesInstanceUID", ""))
            found.setdefault(uid, []).append(_Slice(file, header))
    if not found:
        raise InvalidInput(f"{path} has no DICOM images")
    return sorted(
        (
            Series(
                uid,
                str(slices[0].header.get("SeriesDescription", "")),
                str(slices[0].header.get("Modality", "")),
                tuple(slices),
            )
            for uid, slices in found.items()
        ),
        key=lambda series: (-len(series), series.uid),
    )


def _files(path: Path) -> list[_File]:
    if path.is_dir():
        files = [_File(file) for file in files_below(path)]
    else:
        try:
            with zipfile.ZipFile(path) as archive:
                members = [
                    member
                    for member in archive.infolist()
                    if not member.is_dir() and not is_sidecar(member.filename)
                ]
        except (OSError, zipfile.BadZipFile) as error:
            raise InvalidInput(f"{path} is not a readable zip archive: {error}") from error
        for member in members:
            if member.file_size > _LARGEST_FILE:
                raise InvalidInput(
                    f"{path}: {member.filename} unpacks to {member.file_size:,} bytes; a slice may "
                    f"have {_LARGEST_FILE:,}"
                )
        files = [_File(path, member) for member in members]
    if len(files) > _MOST_FILES:
        raise InvalidInput(f"{path} has {len(files):,} files; it may have {_MOST_FILES:,}")
    return files


def _header(file: _File) -> Any:
    """Read the header of an image; None for any other file."""
    with file.open() as data:
        try:
            header = pydicom.dcmread(data, stop_before_pixels=True, specific_tags=list(_TAGS))
        except (InvalidDicomError, EOFError):
            return None
    return header if "Rows" in header and "Columns" in header else None


def _arranged(slices: Sequence[_Slice]) -> tuple[list[_Slice], NDArray[np.float64]]:
    """Sort the slices by position; return them and the affine."""
    first = slices[0]
    orientation = first.vector("ImageOrientationPatient", 6)
    spacing = first.vector("PixelSpacing", 2)
    for one in slices:
        _check_alike(first, one, orientation, spacing)
    normal = np.cross(orientation[:3], orientation[3:])
    positions = [one.vector("ImagePositionPatient", 3) for one in slices]
    order = np.argsort([position @ normal for position in positions], kind="stable")
    ordered = [slices[n] for n in order]
    start, end = positions[order[0]], positions[order[-1]]
    if len(slices) > 1:
        _check_gaps(ordered, np.array([positions[n] @ normal for n in order]))
        step = (end - start) / (len(slices) - 1)
    else:
        step = normal * float(first.header.get("SliceThickness") or 1)
    affine = np.eye(4)
    # Columns follow each other along a row, so their spacing is the second of PixelSpacing.
    affine[:3, 0] = orientation[:3] * spacing[1]
    affine[:3, 1] = orientation[3:] * spacing[0]
    affine[:3, 2] = step
    affine[:3, 3] = start
    affine[:3] = _TO_RAS @ affine[:3]
    return ordered, affine


def _check_alike(
    first: _Slice, one: _Slice, orientation: NDArray[np.float64], spacing: NDArray[np.float64]
) -> None:
    frames = int(one.header.get("NumberOfFrames") or 1)
    if frames > 1:
        raise InvalidInput(
            f"{one.file} has {frames} frames; each file must have one slice: export the series "
            "as classic DICOM, or convert it with dcm2niix"
        )
    if int(one.header.get("SamplesPerPixel") or 1) != 1:
        raise InvalidInput(f"{one.file} is in colour; slices of a scan have one value per pixel")
    for tag in ("Rows", "Columns"):
        if one.header.get(tag) != first.header.get(tag):
            raise InvalidInput(
                f"{one.file} has {tag} {one.header.get(tag)} and {first.file} "
                f"{first.header.get(tag)}; the slices of a series must have the same size"
            )
    for tag, values in (("ImageOrientationPatient", orientation), ("PixelSpacing", spacing)):
        found = one.vector(tag, len(values))
        if not np.allclose(found, values, atol=_TOLERANCE):
            raise InvalidInput(
                f"{one.file} has {tag} {found.tolist()} and {first.file} {values.tolist()}; "
                "the slices of a series must be parallel and alike (is a localizer among them?)"
            )


def _check_gaps(slices: Sequence[_Slice], heights: NDArray[np.float64]) -> None:
    gaps = np.diff(heights)
    usual = float(np.median(gaps))
    narrow, wide = int(gaps.argmin()), int(gaps.argmax())
    if gaps[narrow] < _TOLERANCE:
        raise InvalidInput(
            f"{slices[narrow].file} and {slices[narrow + 1].file} are at the same position "
            f"({heights[narrow]:.2f} mm); give one phase or echo of the series"
        )
    for place in (wide, narrow):
        if abs(gaps[place] - usual) > _UNEVEN * usual:
            raise InvalidInput(
                f"{slices[place].file} and {slices[place + 1].file} are {gaps[place]:.2f} mm "
                f"apart, other slices {usual:.2f}; is a slice missing?"
            )


def _dtype(slices: Sequence[_Slice]) -> np.dtype[Any]:
    """Return the smallest type that holds all possible values of the slices."""
    extremes: list[float] = []
    for one in slices:
        slope, intercept = one.rescale
        if not (slope.is_integer() and intercept.is_integer()):
            return np.dtype(np.float32)
        bits = int(one.header.get("BitsStored") or 16)
        signed = bool(one.header.get("PixelRepresentation"))
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
        extremes += [low * slope + intercept, high * slope + intercept]
    for kind in (np.int16, np.int32):
        limits = np.iinfo(kind)
        if limits.min <= min(extremes) and max(extremes) <= limits.max:
            return np.dtype(kind)
    return np.dtype(np.float32)


def _pixels(one: _Slice, rows: int, columns: int) -> Array:
    with one.file.open() as data:
        whole = pydicom.dcmread(data)
        try:
            pixels = whole.pixel_array
        except Exception as error:  # pydicom's and its decoders' own
            syntax = getattr(whole.file_meta, "TransferSyntaxUID", None)
            name = getattr(syntax, "name", "unknown transfer syntax")
            raise InvalidInput(
                f"{one.file}: pixels cannot be decoded ({name}): {error}; compressed slices may "
                "need a decoder: pip install pylibjpeg[all]"
            ) from error
    if pixels.shape != (rows, columns):
        raise InvalidInput(f"{one.file} has {list(pixels.shape)} pixels, not [{rows}, {columns}]")
    return pixels.astype(np.float64)
