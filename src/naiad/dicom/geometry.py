"""The frames of a series on the grid of a label map: which voxels a frame's pixels are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from naiad.errors import InvalidInput

_TO_RAS: Final = np.array([-1.0, -1.0, 1.0])  # DICOM's axes point left, posterior, superior
_WITHIN: Final = 0.05  # voxels that a pixel may be away from its voxel along a slice
_ACROSS: Final = 0.4  # likewise across slices, whose positions scanners round


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
        For each slice of the grid its frame, and three index arrays ``[rows, columns]``.

    Raises:
        InvalidInput: the frames do not lie on the grid, each pixel on a voxel.
    """
    inverse = np.linalg.inv(affine)
    found: dict[int, tuple[Frame, tuple[NDArray[np.intp], ...]]] = {}
    across: set[int] = set()
    worst = 0.0
    for frame in frames:
        start = inverse[:3, :3] @ (_TO_RAS * frame.position) + inverse[:3, 3]
        row, column = frame.orientation[3:], frame.orientation[:3]
        down = inverse[:3, :3] @ (_TO_RAS * row * frame.spacing[0])
        along = inverse[:3, :3] @ (_TO_RAS * column * frame.spacing[1])
        steps = np.round([down, along])
        axes = [int(np.abs(step).argmax()) for step in steps]
        if axes[0] == axes[1] or not (np.abs(steps).sum(axis=1) == 1).all():
            worst = np.inf
            continue
        (axis,) = {0, 1, 2} - set(axes)
        across.add(axis)
        # The farthest pixel is as far from its voxel as any.
        last = start + down * (frame.rows - 1) + along * (frame.columns - 1)
        exact = np.round(start) + steps[0] * (frame.rows - 1) + steps[1] * (frame.columns - 1)
        limits = np.full(3, _WITHIN)
        limits[axis] = _ACROSS
        away = np.maximum(np.abs(start - np.round(start)), np.abs(last - exact))
        if (away > limits).any():
            worst = max(worst, float(away.max()))
            continue
        first = np.round(start).astype(int)
        corner = exact.astype(int)
        if (np.minimum(first, corner) < 0).any() or (np.maximum(first, corner) >= shape).any():
            continue
        r, c = np.meshgrid(np.arange(frame.rows), np.arange(frame.columns), indexing="ij")
        indices = tuple(
            (first[i] + steps[0][i] * r + steps[1][i] * c).astype(np.intp) for i in range(3)
        )
        found.setdefault(int(first[axis]), (frame, indices))
    if len(across) != 1 or len(found) != shape[across.pop()]:
        raise InvalidInput(
            f"the label map of {list(shape)} voxels does not lie on the {len(frames)} slices of "
            f"the series: {len(found)} are on it, others up to {worst:.2f} voxels away"
        )
    return [found[index] for index in sorted(found)]


def _frames(index: int, dataset: Any) -> list[Frame]:
    own = dataset.get("PerFrameFunctionalGroupsSequence") or [None]
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [None])[0]
    frames: list[Frame] = []
    for number, frame in enumerate(own):
        values = [
            _value(dataset, shared, frame, group, tag)
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


def _value(dataset: Any, shared: Any, frame: Any, group: str, tag: str) -> Any:
    for one in (frame, shared):
        inner = None if one is None else (one.get(group) or [None])[0]
        if inner is not None and inner.get(tag) is not None:
            return inner.get(tag)
    found = dataset.get(tag)
    if found is None:
        raise InvalidInput(f"the instance {dataset.get('SOPInstanceUID')} has no {tag}")
    return found
