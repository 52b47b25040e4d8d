"""Conversion of DICOM series to volumes: sorted slices, in Hounsfield units or as stored.

A series is a folder, or a zip archive, of files with one slice each, as scanners and archives
export them, or a single enhanced file with many. Slices are sorted by position, not by name or
number, and scaled by their own rescale slope and intercept. The affine follows from position,
orientation and pixel spacing (DICOM PS3.3, C.7.6.2), in NIfTI's directions: right, anterior,
superior. Its axes are perpendicular to each other, as ITK opens no other NIfTI file: slices that a
tilted gantry stacked obliquely are shifted within their planes, by linear interpolation.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from naiad.applications.medical.dicom.frames import Frame, read_frames, read_pixels
from naiad.applications.medical.nifti import MAX_BYTES, Volume
from naiad.core.schema import Array
from naiad.dicom.files import DicomFile, files_at
from naiad.errors import InvalidInput

_TOLERANCE: Final = 1e-3  # of direction cosines, and in millimetres within a slice
_UNEVEN: Final = 0.05  # share of the spacing by which a slice may be out of its place
_ROUNDED: Final = 0.1  # millimetres likewise, as scanners round positions; but see _CLOSE
_CLOSE: Final = 0.25  # largest share of the spacing that _ROUNDED may be
_SAID: Final = 0.01  # millimetres from even spacing that a note says
_STEEPEST: Final = 45.0  # degrees of tilt that are corrected; gantries have up to 30
_LISTED: Final = 5  # most files named in a message
_TO_RAS: Final = np.diag([-1.0, -1.0, 1.0])  # DICOM's axes point left, posterior, superior


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """The slices of one series, or of one stack, phase or echo in enhanced files.

    Attributes:
        uid: its SeriesInstanceUID.
        description: its name by the scanner's operator, or "".
        modality: ``CT``, ``MR``, ...
    """

    uid: str
    description: str
    modality: str
    _frames: tuple[Frame, ...]

    def __len__(self) -> int:
        """Return the number of slices."""
        return len(self._frames)

    def volume(self, *, position_tolerance: float | None = None) -> Volume:
        """Read the slices, as integers if slope and intercept are integers, else as float32.

        Of slices with the same pixels at the same position, one is used; a warning says so. Notes
        of the volume say how far from even the positions are, and that a tilt was corrected: then
        the volume has more rows or columns than the slices, filled with each slice's least value.

        Args:
            position_tolerance: maximum distance of a slice from its place in an evenly spaced
                stack, in millimetres; by default 0.1 (but at most a quarter of the spacing), or 5 %
                of the spacing if that is more.

        Raises:
            InvalidInput: slices do not fit together, one is missing, two are at the same position,
                they are not in line, or pixels cannot be decoded; names the file and says what to
                do.
        """
        for frame in self._frames:
            _check_alike(self._frames[0], frame)
        frames = _without_repeats(_sorted(self._frames))
        affine, shifts, notes = _affine(frames, position_tolerance)
        first = frames[0]
        dtype = _dtype(frames)
        more = np.ceil(shifts.max(axis=0)).astype(int)
        columns, rows = first.columns + int(more[0]), first.rows + int(more[1])
        size = rows * columns * len(frames) * dtype.itemsize
        if size > MAX_BYTES:
            raise InvalidInput(
                f"{first.file}: {columns} x {rows} x {len(frames)} voxels are {size:,} bytes; a "
                f"volume may have {MAX_BYTES:,}"
            )
        voxels = np.empty((columns, rows, len(frames)), dtype, order="F")
        numbers = {id(frame): number for number, frame in enumerate(frames)}
        for frame, pixels in _pixels_of(frames):
            values = pixels.astype(np.float64) * frame.slope + frame.intercept
            number = numbers[id(frame)]
            voxels[:, :, number] = _shifted(values.T, shifts[number], more, dtype)
        return Volume(voxels, 1.0, 0.0, affine, notes=notes)


class SeriesList(list[Series]):
    """The series at a place, the largest first.

    Attributes:
        refused: the files that are DICOM but cannot be used, one entry per reason: the name of the
            first file, and an error that names some of the others too.
    """

    def __init__(
        self, series: Sequence[Series], refused: Sequence[tuple[str, InvalidInput]]
    ) -> None:
        """Hold the series and errors."""
        super().__init__(series)
        self.refused = list(refused)


def find_series(path: Path) -> SeriesList:
    """Find the series in a folder and its subfolders, in a zip archive, or in one file.

    Files that are not DICOM, or have no image, are skipped. Those that are damaged do not stop the
    others; they are in ``refused`` of the result. Of files with the same SOPInstanceUID, one is
    used; a warning says so.

    Raises:
        InvalidInput: no series was found, or the archive is damaged.
    """
    found: list[Frame] = []
    reasons: dict[str, list[DicomFile]] = {}
    for file in files_at(path):
        try:
            found += read_frames(file)
        except InvalidInput as error:  # noqa: PERF203
            reasons.setdefault(str(error).removeprefix(str(file)), []).append(file)
    refused = [_refusal(files, reason) for reason, files in reasons.items()]
    if not found:
        listed = "; ".join(str(error) for _, error in refused[:_LISTED])
        raise InvalidInput(listed or f"{path} has no DICOM images")
    grouped: dict[str, list[Frame]] = {}
    for frame in _without_copies(path, found):
        grouped.setdefault(frame.series, []).append(frame)
    series = [one for uid, frames in grouped.items() for one in _split(uid, frames)]
    return SeriesList(sorted(series, key=lambda one: (-len(one), one.uid)), refused)


def _refusal(files: Sequence[DicomFile], reason: str) -> tuple[str, InvalidInput]:
    likewise = f" (likewise {_some([file.name for file in files[1:]])})" if len(files) > 1 else ""
    return str(files[0]), InvalidInput(f"{files[0]}{reason}{likewise}")


def _some(things: Sequence[object]) -> str:
    more = f" and {len(things) - _LISTED:,} more" if len(things) > _LISTED else ""
    return ", ".join(map(str, things[:_LISTED])) + more


def _without_copies(path: Path, frames: Sequence[Frame]) -> list[Frame]:
    """Return the frames, with only the largest of a series' files that have the same instance."""
    kept: dict[tuple[str, str, int], Frame] = {}
    for frame in frames:
        key = (frame.series, frame.instance or str(frame.file), frame.number)
        if key not in kept or frame.file.size > kept[key].file.size:
            kept[key] = frame
    used = {str(frame.file) for frame in kept.values()}
    left = sorted({str(frame.file) for frame in frames} - used)
    if left:
        warnings.warn(
            f"{path}: {len(left):,} of the files are copies of others, by their SOPInstanceUID, "
            f"and left out: {_some(left)}",
            stacklevel=3,
        )
    return list(kept.values())


def _split(uid: str, frames: Sequence[Frame]) -> Iterator[Series]:
    """Yield a series, or the stacks, phases and echoes of one in enhanced files.

    Indices that differ from slice to slice do not tell stacks apart: they are ignored unless slices
    share their positions, and there are equally many in each part.
    """
    parts: dict[tuple[int | str, ...], list[Frame]] = {}
    for frame in frames:
        parts.setdefault(frame.part, []).append(frame)
    sizes = {len(part) for part in parts.values()}
    if len(parts) == 1 or len(sizes) > 1 or not _share_positions(frames):
        parts = {(): list(frames)}
    for number, part in enumerate(parts.values(), start=1):
        about = f" ({number} of {len(parts)})" if len(parts) > 1 else ""
        yield Series(uid, part[0].description + about, part[0].modality, tuple(part))


def _share_positions(frames: Sequence[Frame]) -> bool:
    try:
        places = {tuple(frame.vector("ImagePositionPatient").tolist()) for frame in frames}
    except InvalidInput:
        return False
    return len(places) < len(frames)


def _check_alike(first: Frame, one: Frame) -> None:
    if one.samples != 1:
        raise InvalidInput(f"{one} is in colour; slices of a scan have one value per pixel")
    for tag, value, expected in (
        ("Rows", one.rows, first.rows),
        ("Columns", one.columns, first.columns),
    ):
        if value != expected:
            raise InvalidInput(
                f"{one} has {tag} {value} and {first} {expected}; the slices of a series must "
                "have the same size"
            )
    one.vector("ImagePositionPatient")
    for tag in ("ImageOrientationPatient", "PixelSpacing"):
        found, expected = one.vector(tag), first.vector(tag)
        if not np.allclose(found, expected, atol=_TOLERANCE):
            raise InvalidInput(
                f"{one} has {tag} {found.tolist()} and {first} {expected.tolist()}; the slices of "
                "a series must be parallel and alike (is a localizer among them?)"
            )


def _axes(frame: Frame) -> NDArray[np.float64]:
    """Return unit vectors along rows, down columns and across slices, as the rows of a matrix."""
    cosines = frame.vector("ImageOrientationPatient")
    along, down = cosines[:3], cosines[3:]
    normal = np.cross(along, down)
    lengths = [float(np.linalg.norm(vector)) for vector in (along, down, normal)]
    if not np.allclose(lengths, 1, atol=10 * _TOLERANCE):
        raise InvalidInput(
            f"{frame} has ImageOrientationPatient {cosines.tolist()}; it must be two perpendicular "
            "directions of length 1"
        )
    # Rounded cosines are neither quite perpendicular nor of length 1.
    along, normal = along / lengths[0], normal / lengths[2]
    return np.stack([along, np.cross(normal, along), normal])


def _height(frame: Frame, normal: NDArray[np.float64]) -> float:
    return float(frame.vector("ImagePositionPatient") @ normal)


def _sorted(frames: Sequence[Frame]) -> list[Frame]:
    normal = _axes(frames[0])[2]
    return sorted(frames, key=lambda frame: _height(frame, normal))


def _without_repeats(frames: Sequence[Frame]) -> list[Frame]:
    """Return sorted slices, with one of those that have the same position and the same pixels.

    Of two at the same position, one that cannot be decoded is left out.
    """
    normal = _axes(frames[0])[2]
    groups: list[list[Frame]] = []
    for frame in frames:
        if groups and _height(frame, normal) - _height(groups[-1][0], normal) < _TOLERANCE:
            groups[-1].append(frame)
        else:
            groups.append([frame])
    kept = [_only(group) if len(group) > 1 else group[0] for group in groups]
    left = len(frames) - len(kept)
    if left:
        warnings.warn(
            f"{frames[0].file.path}: {left:,} slices repeat the position and pixels of others, or "
            "repeat their position and are damaged, and are left out",
            stacklevel=3,
        )
    return kept


def _only(frames: Sequence[Frame]) -> Frame:
    """Return the only slice at a position.

    Raises:
        InvalidInput: there are several that differ, or none can be decoded.
    """
    only: tuple[Frame, Array] | None = None
    damage: InvalidInput | None = None
    for frame in frames:
        try:
            (stored,) = read_pixels([frame])
        except InvalidInput as error:
            damage = error
            continue
        values = stored.astype(np.float64) * frame.slope + frame.intercept
        if only is None:
            only = (frame, values)
        elif not np.array_equal(values, only[1]):
            at = frame.vector("ImagePositionPatient").tolist()
            raise InvalidInput(
                f"{only[0]} and {frame} are at the same position {at}, with different pixels; give "
                "one phase or echo of the series"
            )
    if only is None:
        assert damage is not None
        raise damage
    return only[0]


def _affine(
    frames: Sequence[Frame], tolerance: float | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], tuple[str, ...]]:
    """Return the affine of sorted slices, an even stack of which they are within the tolerance.

    Also return where each slice begins in it, in columns and rows ``[slices, 2]``, all 0 without a
    tilt, and notes on what is not exactly so.
    """
    notes: list[str] = []
    axes, spacing = _axes(frames[0]), frames[0].vector("PixelSpacing")[::-1]
    # Columns follow each other along a row, so their spacing is the second of PixelSpacing.
    places = np.array([frame.vector("ImagePositionPatient") for frame in frames]) @ axes.T
    start, step = places[0].copy(), frames[0].thickness
    shifts = np.zeros((len(frames), 2))
    if len(frames) > 1:
        order = np.arange(len(frames))
        step = (places[-1, 2] - start[2]) / (len(frames) - 1)
        if np.abs(places - start - np.outer(order, (0, 0, step))).max() > _TOLERANCE:
            step, lowest = np.polyfit(order, places[:, 2], 1)
            start = np.array([*places[:, :2].mean(axis=0), lowest])
        if tolerance is None:
            tolerance = max(_UNEVEN * step, min(_ROUNDED, _CLOSE * step))
        away = _check_even(frames, places[:, 2], start[2] + step * order, tolerance)
        if away > _SAID:
            notes.append(
                f"positions are uneven or rounded: slices lie up to {away:.3f} mm away from even "
                f"spacing, and {tolerance:.2f} mm are allowed"
            )
        angle = _tilt(frames, places[:, :2], step, tolerance)
        for axis in (0, 1):
            along = places[:, axis]
            if angle and np.ptp(along) > tolerance:
                start[axis] = along.min()
                shifts[:, axis] = (along - along.min()) / spacing[axis]
        if angle:
            notes.append(
                f"slices are stacked at {angle:.1f} degrees to their normal (gantry tilt): they "
                "were shifted within their planes, by linear interpolation"
            )
    affine = np.eye(4)
    affine[:3, :3] = axes.T * (*spacing, step)
    affine[:3, 3] = start @ axes
    affine[:3] = _TO_RAS @ affine[:3]
    return affine, shifts, tuple(notes)


def _shifted(
    values: NDArray[np.float64],
    shift: NDArray[np.float64],
    more: NDArray[np.int_],
    dtype: np.dtype[Any],
) -> NDArray[np.float64]:
    """Return a slice ``[columns, rows]`` that begins at ``shift``, in ``more`` columns and rows."""
    if not more.any():
        return values
    found = np.pad(values, [(0, int(one)) for one in more], constant_values=values.min())
    for axis, (whole, part) in enumerate(zip(*divmod(shift, 1), strict=True)):
        moved = np.roll(found, int(whole), axis)  # what is added to the end comes to the front
        found = (1 - part) * moved + part * np.roll(moved, 1, axis)
    return found if dtype.kind == "f" else np.rint(found)


def _check_even(
    frames: Sequence[Frame],
    heights: NDArray[np.float64],
    even: NDArray[np.float64],
    tolerance: float,
) -> float:
    """Return the largest distance of a slice from its place."""
    away = float(np.abs(heights - even).max())
    if away <= tolerance:
        return away
    gaps = np.diff(heights)
    usual = float(np.median(gaps))
    place = int(np.abs(gaps - usual).argmax())
    raise InvalidInput(
        f"{frames[place]} and {frames[place + 1]} are {gaps[place]:.2f} mm apart, other slices "
        f"{usual:.2f}; is a slice missing? Slices are up to {away:.2f} mm away from even spacing, "
        f"and {tolerance:.2f} mm are allowed: for uneven or rounded positions, raise "
        "position_tolerance"
    )


def _tilt(
    frames: Sequence[Frame], shifts: NDArray[np.float64], step: float, tolerance: float
) -> float:
    """Return the degrees by which a stack leans, or 0 if its slices lie over each other.

    Raises:
        InvalidInput: they are not in line, or lean more than any gantry.
    """
    if np.linalg.norm(shifts - shifts.mean(axis=0), axis=1).max() <= tolerance:
        return 0.0
    order = np.arange(len(frames))
    slopes, first = np.polyfit(order, shifts, 1)
    away = np.linalg.norm(shifts - first - np.outer(order, slopes), axis=1)
    angle = float(np.degrees(np.arctan2(np.linalg.norm(slopes), step)))
    if away.max() > tolerance:
        place = int(away.argmax())
        raise InvalidInput(
            f"{frames[place]} is {away[place]:.2f} mm out of line with the other slices, and "
            f"{tolerance:.2f} mm are allowed; is it of another series?"
        )
    if angle > _STEEPEST:
        raise InvalidInput(
            f"{frames[0]} and the slices after it are stacked at {angle:.1f} degrees to their "
            f"normal; at most {_STEEPEST:g} are corrected: resample the series"
        )
    return angle


def _dtype(frames: Sequence[Frame]) -> np.dtype[Any]:
    """Return the smallest type that holds all possible values of the slices."""
    extremes: list[float] = []
    for one in frames:
        if not (one.bits and one.slope.is_integer() and one.intercept.is_integer()):
            return np.dtype(np.float32)
        low, high = (-(2 ** (one.bits - 1)), 2 ** (one.bits - 1) - 1)
        if not one.signed:
            low, high = 0, 2**one.bits - 1
        extremes += [low * one.slope + one.intercept, high * one.slope + one.intercept]
    for kind in (np.int16, np.int32):
        limits = np.iinfo(kind)
        if limits.min <= min(extremes) and max(extremes) <= limits.max:
            return np.dtype(kind)
    return np.dtype(np.float32)


def _pixels_of(frames: Sequence[Frame]) -> Iterator[tuple[Frame, Array]]:
    """Yield each frame with its stored values, file by file."""
    by_file = sorted(frames, key=lambda frame: (str(frame.file), frame.number))
    for _, group in groupby(by_file, key=lambda frame: str(frame.file)):
        inside = list(group)
        yield from zip(inside, read_pixels(inside), strict=True)
