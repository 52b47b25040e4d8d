"""A picture of scans: the middle slice along each axis, and the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from naiad.applications.medical import nifti
from naiad.applications.medical.covid_ct.schema import HOUNSFIELD, PROBABILITY
from naiad.applications.medical.nifti import Volume
from naiad.applications.medical.viewing import canonical
from naiad.contact_sheet import Image, Tile, contact_sheet
from naiad.core.schema import Array
from naiad.tasks.task import Found

_SIDE, _GAP = 220, 10
_ROW = (3 * _SIDE + 2 * _GAP, _SIDE)


def draw(results: Sequence[Found], path: Path, notice: str) -> None:
    """Draw a row for each scan: its axial, coronal and sagittal middle slices in Hounsfield units
    of -1000 (black) to 500 (white).

    Raises:
        InvalidInput: a file cannot be read any more; see also :func:`contact_sheet`.
    """
    contact_sheet(
        results,
        _tile,
        path,
        notice,
        size=_ROW,
        columns=(1, 1),
        gap=_GAP,
        line=24,
        font=16,
        above=True,
    )


def _tile(found: Found) -> Tile:
    row = Image.new("RGB", _ROW)
    for column, image in enumerate(middle_slices(found.unit(), found.name)):
        left, top = (_SIDE - image.width) // 2, (_SIDE - image.height) // 2
        row.paste(image, (column * (_SIDE + _GAP) + left, top))
    verdict = found.result
    shown = f"{PROBABILITY} {verdict.probability:.3f}"
    text = f"{verdict.label}   {shown}   {Path(found.name).name}"
    return row, [(text, "#ff7b72" if verdict.positive else "#7ee787")]


def middle_slices(data: bytes, name: str) -> list[Image.Image]:
    """Return the axial, coronal and sagittal middle slices of a NIfTI file, in true proportions.

    The patient's front or head is on top, and the right side or front on the right.

    Raises:
        InvalidInput: as for :func:`naiad.applications.medical.nifti.read`.
    """
    volume = nifti.read(data, name=name)
    stored, spacing = canonical(volume.stored, volume)
    return [_slice(volume, stored, spacing, axis) for axis in (2, 1, 0)]


def _slice(volume: Volume, stored: Array, spacing: Sequence[float], axis: int) -> Image.Image:
    low, high = HOUNSFIELD
    middle = volume.scaled(np.take(stored, stored.shape[axis] // 2, axis=axis))
    grey = np.clip((middle - low) / (high - low), 0, 1) * 255
    # Rows of a picture go down, and the scan's axes go up.
    image = Image.fromarray(np.ascontiguousarray(grey.astype(np.uint8).T[::-1]))
    across, along = (
        max(1e-6, length * distance)
        for i, (length, distance) in enumerate(zip(stored.shape, spacing, strict=True))
        if i != axis
    )
    scale = _SIDE / max(across, along)
    return image.resize((max(1, round(across * scale)), max(1, round(along * scale))))
