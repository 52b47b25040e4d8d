"""A picture of a segmented scan: slices of the three planes with the labels in colour."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from naiad import nifti
from naiad.errors import InvalidInput, MissingExtra
from naiad.nifti import Volume
from naiad.pipelines.bundle.client import LabelVolume, Segmentation
from naiad.schema import Array

try:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch
    from nibabel.orientations import apply_orientation, io_orientation
except ModuleNotFoundError as error:
    raise MissingExtra("monai-client", error.name or "matplotlib") from None

# Okabe and Ito's colours, which all kinds of eyes tell apart.
_COLOURS: Final = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7")
_MOST_NAMED: Final = 14
_OPACITY: Final = 0.5
_WINDOW: Final = (1, 99)  # per cent of the voxels that lie between black and white

# By plane: the axis that is cut, and those that go right and up.
_PLANES: Final = (("axial", 2, 0, 1), ("coronal", 1, 0, 2), ("sagittal", 0, 1, 2))


def draw_overlay(scan: bytes, found: Segmentation, path: Path, *, title: str = "") -> None:
    """Draw a scan, a NIfTI file, with its label maps, as PNG.

    Each plane is cut where it shows most of the labels; a scan without any, in the middle. Up is
    superior or anterior, right is the patient's right.

    Raises:
        InvalidInput: the picture cannot be written.
        MissingExtra: matplotlib is not installed.
    """
    volume = nifti.read(scan)
    voxels, spacing = _canonical(volume.voxels(), volume)
    labels = _canonical(_merged(found), volume)[0]
    low, high = np.percentile(voxels, _WINDOW)
    figure = Figure(figsize=(12, 4.4), layout="constrained", facecolor="black")
    FigureCanvasAgg(figure)
    axes: Any = figure.subplots(1, 3)
    colours, shown = _colours(found)
    for plot, (name, cut, right, up) in zip(axes, _PLANES, strict=True):
        place = _fullest(labels, cut)
        plane = np.take(voxels, place, axis=cut).T
        aspect = spacing[up] / spacing[right]
        view = {"origin": "lower", "aspect": aspect, "interpolation": "nearest"}
        plot.imshow(plane, cmap="gray", vmin=low, vmax=max(high, low + 1e-6), **view)
        plot.imshow(colours[np.take(labels, place, axis=cut).T], **view)
        plot.set_title(f"{name} {place + 1}/{voxels.shape[cut]}", color="white", fontsize=9)
        plot.set_axis_off()
    if shown:
        patches = [Patch(color=colour, label=label.name) for label, colour in shown[:_MOST_NAMED]]
        figure.legend(
            handles=patches,
            loc="outside lower center",
            ncols=min(7, len(patches)),
            labelcolor="white",
            facecolor="black",
            fontsize=8,
        )
    figure.suptitle(title, color="white", fontsize=10)
    try:
        figure.savefig(path, dpi=110)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written: {error.strerror or error}") from error


def _canonical(array: Array, volume: Volume) -> tuple[Array, tuple[float, ...]]:
    """An array with axes that point right, anterior and superior, and its spacing."""
    orientation = io_orientation(volume.affine)
    spacing = [0.0, 0.0, 0.0]
    for axis, (target, _) in enumerate(orientation):
        spacing[int(target)] = volume.spacing[axis]
    return apply_orientation(array, orientation), tuple(spacing)


def _merged(found: Segmentation) -> NDArray[np.int64]:
    """The labels of one map; of several maps, the number of the last that is not 0, from 1."""
    if len(found.maps) == 1:
        return found.volume().stored.astype(np.int64)
    merged = np.zeros(found.volume().shape, np.int64)
    for number in range(len(found.maps)):
        merged[found.volume(number).stored != 0] = number + 1
    return merged


def _colours(
    found: Segmentation,
) -> tuple[NDArray[np.float64], Sequence[tuple[LabelVolume, str]]]:
    """Red, green, blue and opacity by value of the merged map, and the colours of the labels."""
    offset = len(found.maps) > 1  # then 0 is nothing, and no label
    shown: list[tuple[LabelVolume, str]] = []
    most = max((label.number for label in found.volumes), default=0) + offset
    table = np.zeros((most + 1, 4))
    for label in found.volumes:
        value = label.number + offset
        if value <= 0 or not label.ml:
            continue
        colour = _COLOURS[len(shown) % len(_COLOURS)]
        table[value] = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)] + [_OPACITY]
        shown.append((label, colour))
    return table, shown


def _fullest(labels: Array, axis: int) -> int:
    """Where along an axis most voxels are labelled; the middle, where none is."""
    others = tuple(other for other in range(3) if other != axis)
    counts = np.count_nonzero(labels > 0, axis=others)
    return int(counts.argmax()) if counts.any() else labels.shape[axis] // 2
