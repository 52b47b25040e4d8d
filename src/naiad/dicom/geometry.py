"""The frames of a series on the grid of a label map: which voxels a frame's pixels are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from naiad.dicom.headers import value_in
from naiad.errors import InvalidInput

_TO_RAS: Final = np.array([-1.0, -1.0, 1.0])  # DICOM's axes point left, posterior, superior
_WITHIN: Final = 0.05  # voxels that a pixel may be away from its voxel along a slice
_ACROSS: Final = 0.4  # likewise across slices, whose positions scanners round
_NEAREST: Final = 0.5 + _WITHIN  # likewise along slices that were shifted, as a gantry was tilted


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A frame of an image.

    Attributes:
        dataset: index of its file among the datasets.
        number: of the frame in it, from 0.
        position: ImagePositionPatient.
        orientation: ImageOrientationPatient.
        spacing: PixelSpacing.
        rows, columns: number of pixels.
    """

    dataset: int
    number: int
    position: NDArray[np.float64]
    orientation: NDArray[np.float64]
    spacing: NDArray[np.float64]
    rows: int
    columns: int


def frames_of(datasets: Sequence[Any]) -> list[Frame]:
    """Return all frames of the files of a series.

    Raises:
        InvalidInput: one has no position; names it.
    """
    return [frame for index, one in enumerate(datasets) for frame in _frames(index, one)]


def on_grid(
    frames: Sequence[Frame], shape: Sequence[int], affine: NDArray[np.float64]
) -> list[tuple[Frame, tuple[NDArray[np.intp], ...]]]:
    """Return the frames that lie on a grid, in order across it, with the voxel of each pixel.

    Args:
        frames: of a series.
        shape: of the grid, ``[x, y, z]``.
        affine: from voxels to millimetres, right, anterior, superior.

    Returns:
        For each slice of the grid its frame, and three index arrays that broadcast to ``[rows,
        columns]``; of slices that lean, as those of a tilted gantry do, each pixel has the nearest
        voxel of its slice.

    Raises:
        InvalidInput: the frames do not lie on the grid, each pixel on a voxel.
    """
    inverse: NDArray[Any] = np.linalg.inv(affine)
    placed = [one for frame in frames if (one := _placed(frame, inverse)) is not None]
    worst = 0.0 if len(placed) == len(frames) else np.inf
    within = _NEAREST if _lean(placed) else _WITHIN
    found: dict[int, tuple[Frame, tuple[NDArray[np.intp], ...]]] = {}
    for one in placed:
        frame, first = one.frame, np.round(one.start)
        # The farthest pixel is as far from its voxel as any.
        last = one.start + one.down * (frame.rows - 1) + one.along * (frame.columns - 1)
        down, along = np.round(one.down), np.round(one.along)
        corner = first + down * (frame.rows - 1) + along * (frame.columns - 1)
        limits = np.full(3, within)
        limits[one.axis] = _ACROSS
        away = np.maximum(np.abs(one.start - first), np.abs(last - corner))
        if (away > limits).any():
            worst = max(worst, float(away.max()))
            continue
        if (np.minimum(first, corner) < 0).any() or (np.maximum(first, corner) >= shape).any():
            continue
        r, c = np.ogrid[: frame.rows, : frame.columns]
        # Each axis of the grid follows the rows, the columns or neither: these broadcast.
        indices = tuple(
            (first[i] + (down[i] * r if down[i] else along[i] * c)).astype(np.intp)
            for i in range(3)
        )
        found.setdefault(int(first[one.axis]), (frame, indices))
    across = {one.axis for one in placed}
    if len(across) != 1 or len(found) != shape[across.pop()]:
        raise InvalidInput(
            f"the label map of {list(shape)} voxels does not lie on the {len(frames)} slices of "
            f"the series: {len(found)} are on it, others up to {worst:.2f} voxels away"
        )
    return [found[index] for index in sorted(found)]


@dataclass(frozen=True, slots=True, eq=False)
class _Placed:
    """A frame in voxels of a grid: its first pixel, and the steps down and along its rows."""

    frame: Frame
    start: NDArray[np.float64]
    down: NDArray[np.float64]
    along: NDArray[np.float64]
    axis: int
    """Of the grid, across the frame."""


def _placed(frame: Frame, inverse: NDArray[Any]) -> _Placed | None:
    """Return where a frame is, or None if its rows and columns are not along the grid's axes."""
    start = inverse[:3, :3] @ (_TO_RAS * frame.position) + inverse[:3, 3]
    row, column = frame.orientation[3:], frame.orientation[:3]
    down = inverse[:3, :3] @ (_TO_RAS * row * frame.spacing[0])
    along = inverse[:3, :3] @ (_TO_RAS * column * frame.spacing[1])
    steps = np.round([down, along])
    axes = {int(np.abs(step).argmax()) for step in steps}
    if len(axes) < 2 or not (np.abs(steps).sum(axis=1) == 1).all():
        return None
    (axis,) = {0, 1, 2} - axes
    return _Placed(frame, start, down, along, axis)


def _lean(placed: Sequence[_Placed]) -> bool:
    """Return whether frames lie in a line that is not along their normal."""
    if len(placed) < 2 or len({one.axis for one in placed}) > 1:
        return False
    starts, axis = np.array([one.start for one in placed]), placed[0].axis
    line = np.polyfit(starts[:, axis], starts, 1)
    off = np.abs(starts - np.outer(starts[:, axis], line[0]) - line[1]).max()
    beside = np.delete(np.ptp(starts, axis=0), axis).max()
    return bool(off <= _WITHIN < beside)


def _frames(index: int, dataset: Any) -> list[Frame]:
    own = dataset.get("PerFrameFunctionalGroupsSequence") or [None]
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [None])[0]
    frames: list[Frame] = []
    for number, frame in enumerate(own):
        values = [
            _needed(dataset, shared, frame, group, tag)
            for group, tag in (
                ("PlanePositionSequence", "ImagePositionPatient"),
                ("PlaneOrientationSequence", "ImageOrientationPatient"),
                ("PixelMeasuresSequence", "PixelSpacing"),
            )
        ]
        position, orientation, spacing = (np.array(value, np.float64) for value in values)
        frames.append(
            Frame(
                index,
                number,
                position,
                orientation,
                spacing,
                int(dataset.Rows),
                int(dataset.Columns),
            )
        )
    return frames


def _needed(dataset: Any, shared: Any, frame: Any, group: str, tag: str) -> Any:
    found = value_in(dataset, shared, frame, group, tag)
    if found is None:
        raise InvalidInput(f"the instance {dataset.get('SOPInstanceUID')} has no {tag}")
    return found
