"""Pictures of segmentations: planes of a scan, or a picture, with the labels in colour."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from naiad.applications.medical import nifti
from naiad.applications.medical.bundle.kinds import (
    MAX_PICTURE_BYTES,
    MAX_PIXELS,
    PICTURE,
    VOLUME,
    Kind,
)
from naiad.applications.medical.bundle.results import Label, Segmentation
from naiad.applications.medical.viewing import canonical, usual_window
from naiad.core.schema import Array
from naiad.images import decoding, is_grey_16, open_picture
from naiad.plots import OKABE_ITO, Patch, new_figure, save

_MOST_NAMED: Final = 14
_OPACITY: Final = 0.5

# By plane: the axis across it, and those that go right and up.
_CUTS: Final = (("axial", 2, 0, 1), ("coronal", 1, 0, 2), ("sagittal", 0, 1, 2))


@dataclass(frozen=True, slots=True)
class _Plane:
    """An image to draw, grey or red, green and blue, and the labels of its pixels.

    Both are ``[rows, columns]``, the top row first; a pixel is ``aspect`` times as high as wide.
    Grey is drawn from the lower value of ``window``, black, to the upper one, white.
    """

    pixels: Array
    labels: Array
    window: tuple[float, float]
    title: str = ""
    aspect: float = 1.0


def draw_overlay(scan: bytes, found: Segmentation, path: Path, *, title: str = "") -> None:
    """Draw a scan (a NIfTI file) or a picture with its label maps.

    A scan is cut along three planes where they show most of the labels, or else in the middle. Up
    is superior or anterior, right is the patient's right.

    Raises:
        NaiadError: the picture cannot be written.
    """
    planes = _PLANES_OF[found.kind](scan, merged(found))
    figure = new_figure(4 * max(len(planes), 2), 4.4, facecolor="black")
    axes: Any = figure.subplots(1, len(planes), squeeze=False)
    colours, shown = _colours(found)
    for plot, plane in zip(axes[0], planes, strict=True):
        view = {"aspect": plane.aspect, "interpolation": "nearest"}
        low, high = plane.window
        plot.imshow(plane.pixels, cmap="gray", vmin=low, vmax=high, **view)
        plot.imshow(colours[plane.labels], **view)
        plot.set_title(plane.title, color="white", fontsize=9)
        plot.set_axis_off()
    if shown:
        named = shown[:_MOST_NAMED]
        patches = [Patch(color=colour, label=label.name) for label, colour in named]
        figure.legend(
            handles=patches,
            loc="outside lower center",
            ncols=min(7, len(patches)),
            labelcolor="white",
            facecolor="black",
            fontsize=8,
        )
    figure.suptitle(title, color="white", fontsize=10)
    save(figure, path, dpi=110)


def _slices(scan: bytes, merged: Array) -> list[_Plane]:
    """Cut a volume along three planes."""
    volume = nifti.read(scan)
    voxels, spacing = canonical(volume.voxels(), volume)
    labels = canonical(merged, volume)[0]
    window = usual_window(voxels)
    planes: list[_Plane] = []
    for name, cut, right, up in _CUTS:
        place = _fullest(labels, cut)
        pixels, marks = (np.take(array, place, axis=cut).T[::-1] for array in (voxels, labels))
        title = f"{name} {place + 1}/{voxels.shape[cut]}"
        planes.append(_Plane(pixels, marks, window, title, spacing[up] / spacing[right]))
    return planes


def _whole(scan: bytes, merged: Array) -> list[_Plane]:
    """Return a picture as the only plane."""
    picture = open_picture(
        scan, "the picture", most_bytes=MAX_PICTURE_BYTES, most_pixels=MAX_PIXELS
    )
    with picture, decoding(picture, "the picture"):
        plain = is_grey_16(picture) or picture.mode == "L"
        pixels = np.asarray(picture if plain else picture.convert("RGB"))
    return [_Plane(pixels, merged, usual_window(pixels))]


_PLANES_OF: Final[Mapping[Kind[Any], Callable[[bytes, Array], list[_Plane]]]] = {
    VOLUME: _slices,
    PICTURE: _whole,
}


def merged(found: Segmentation) -> NDArray[np.int64]:
    """Return the labels of the only map, or the number from 1 of the last that is not 0."""
    if len(found.maps) == 1:
        return found.array().astype(np.int64)
    merged = np.zeros(found.array().shape, np.int64)
    for number in range(len(found.maps)):
        merged[found.array(number) != 0] = number + 1
    return merged


def _colours(
    found: Segmentation,
) -> tuple[NDArray[np.float64], Sequence[tuple[Label, str]]]:
    """Return RGBA by value of the merged map, and the colours of the labels."""
    offset = len(found.maps) > 1  # then 0 is not a label
    shown: list[tuple[Label, str]] = []
    most = max((label.number for label in found.labels), default=0) + offset
    table = np.zeros((most + 1, 4))
    for label in found.labels:
        value = label.number + offset
        if value <= 0 or not label.size:
            continue
        colour = OKABE_ITO[len(shown) % len(OKABE_ITO)]
        table[value] = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)] + [_OPACITY]
        shown.append((label, colour))
    return table, shown


def _fullest(labels: Array, axis: int) -> int:
    """Return the index along an axis with most labelled voxels, or the middle."""
    others = tuple(other for other in range(3) if other != axis)
    counts = np.count_nonzero(labels > 0, axis=others)
    return int(counts.argmax()) if counts.any() else labels.shape[axis] // 2


def names_of(found: Segmentation) -> dict[int, str]:
    """Return the names of the values of the merged map that are labels."""
    offset = len(found.maps) > 1
    return {one.number + offset: one.name for one in found.labels if one.number + offset > 0}
