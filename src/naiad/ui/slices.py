"""Slices of a scan as pictures, with its labels in colour."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from html import escape
from io import BytesIO
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from naiad.tasks.views import Volume

_SIDE: Final = 384  # most voxels across a slice that are kept
_SHOWN: Final = 512  # pixels of a picture's longer side
_OPACITY: Final = 0.5
_COLOURS: Final = (
    *((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66)),
    *((0, 114, 178), (213, 94, 0), (204, 121, 167)),
)


@dataclass(frozen=True, slots=True, eq=False)
class Slices:
    """The slices of one scan, small enough to be kept for a page.

    Attributes:
        grey: uint8 ``[width, height, slices]``.
        labels: integers of the same shape, or None.
        names: of the labels.
        aspect: height of a voxel divided by its width.
        start: the slice to show first: that with most labels, or the middle.
    """

    grey: NDArray[np.uint8]
    labels: NDArray[Any] | None
    names: dict[int, str]
    aspect: float
    start: int

    @property
    def count(self) -> int:
        """Number of slices."""
        return self.grey.shape[2]

    def picture(self, number: int) -> Image.Image:
        """Return a slice, from 0, as red, green and blue."""
        grey = np.repeat(self.grey[:, :, number].T[..., None], 3, axis=2).astype(np.float32)
        if self.labels is not None:
            labels = self.labels[:, :, number].T
            for place, value in enumerate(self.names):
                colour = np.array(_COLOURS[place % len(_COLOURS)], np.float32)
                here = labels == value
                grey[here] = (1 - _OPACITY) * grey[here] + _OPACITY * colour
        image = Image.fromarray(grey.astype(np.uint8))
        height = image.height * self.aspect
        scale = _SHOWN / max(image.width, height, 1)
        size = (max(1, round(image.width * scale)), max(1, round(height * scale)))
        return image.resize(size, Image.Resampling.NEAREST)

    def html(self, number: int) -> str:
        """Return a slice, from 0, as HTML: a picture of a patient is in no file."""
        file = BytesIO()
        self.picture(number).save(file, "PNG")
        data = base64.b64encode(file.getvalue()).decode()
        text = f"Slice {number + 1} of {self.count}"
        return f'<img class="naiad-slice" alt="{text}" src="data:image/png;base64,{data}">'

    def legend(self) -> str:
        """Return the colours of the labels as HTML; "" without labels."""
        if self.labels is None or not self.names:
            return ""
        entries = [
            f'<span><i style="background:rgb{_COLOURS[place % len(_COLOURS)]}"></i>'
            f"{escape(name)}</span>"
            for place, name in enumerate(self.names.values())
        ]
        return f'<div class="naiad-legend">{"".join(entries)}</div>'


def make_slices(volume: Volume) -> Slices:
    """Return a scan's slices as grey, every second or third voxel of a large one."""
    step = max(1, -(-max(volume.voxels.shape[:2]) // _SIDE))
    voxels: Any = volume.voxels[::step, ::step]
    low, high = volume.window or (float(np.min(voxels)), float(np.max(voxels)))
    grey: Any = np.empty(voxels.shape, np.uint8)
    for number in range(voxels.shape[2]):  # one by one: a scan as float64 would be large
        part = (voxels[:, :, number].astype(np.float32) - low) / max(high - low, 1e-6)
        grey[:, :, number] = np.clip(np.nan_to_num(part), 0, 1) * 255
    labels, start = None, grey.shape[2] // 2
    if volume.labels is not None:
        counts: Any = np.isin(volume.labels, list(volume.names)).sum(axis=(0, 1))
        start = int(counts.argmax()) if counts.any() else start
        labels = np.ascontiguousarray(volume.labels[::step, ::step])
    return Slices(grey, labels, dict(volume.names), volume.aspect, start)
