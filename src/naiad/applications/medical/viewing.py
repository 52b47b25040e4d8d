"""Scans as people look at them: axes towards the patient's right, front and head."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from naiad.applications.medical import nifti
from naiad.core.schema import Array
from naiad.errors import MissingExtra
from naiad.tasks import views

try:
    from nibabel.orientations import apply_orientation, io_orientation
except ModuleNotFoundError as error:
    raise MissingExtra("nifti", error.name or "nibabel") from None

_WINDOW = (1, 99)  # percentiles of the voxels that are black and white


def canonical(array: Array, volume: nifti.Volume) -> tuple[Array, tuple[float, ...]]:
    """Return an array on a volume's grid with axes towards right, anterior and superior.

    The second value is the distance of voxels along these axes, in millimetres.
    """
    orientation = io_orientation(volume.affine)
    spacing = [0.0, 0.0, 0.0]
    for axis, (target, _) in enumerate(orientation):
        spacing[int(target)] = volume.spacing[axis]
    return apply_orientation(array, orientation), tuple(spacing)


def usual_window(values: Array) -> tuple[float, float]:
    """Return the values that are drawn black and white, without the outermost of them."""
    low, high = np.percentile(values, _WINDOW).tolist()
    return low, max(high, low + 1e-6)


def view(
    volume: nifti.Volume,
    *,
    window: tuple[float, float] | None = None,
    labels: NDArray[Any] | None = None,
    names: dict[int, str] | None = None,
) -> views.Volume:
    """Return axial slices with the patient's front on top and the right side on the right."""
    voxels, spacing = canonical(volume.voxels(), volume)
    marks = None if labels is None else canonical(labels, volume)[0][:, ::-1]
    return views.Volume(
        voxels[:, ::-1],
        window or usual_window(voxels),
        marks,
        names or {},
        aspect=spacing[1] / max(spacing[0], 1e-9),
    )
