"""A picture of scans: the middle slice along each axis, and the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from naiad.applications.medical import nifti
from naiad.applications.medical.covid_ct.schema import HOUNSFIELD
from naiad.applications.medical.nifti import Volume
from naiad.errors import InvalidInput, MissingExtra
from naiad.tasks.task import Found

try:
    from PIL import Image, ImageDraw, ImageFont
except ImportError as error:
    raise MissingExtra("covid-ct", "pillow") from error

_SIDE, _GAP, _LINE, _FONT = 220, 10, 24, 16  # pixels


def draw(results: Sequence[Found], path: Path, notice: str) -> None:
    """Draw a row for each scan: its axial, coronal and sagittal middle slices in Hounsfield units
    of -1000 (black) to 500 (white), as PNG or JPEG.

    Raises:
        InvalidInput: a file cannot be read any more, or the picture cannot be written.
    """
    row = _SIDE + _LINE + _GAP
    width = 3 * (_SIDE + _GAP) + _GAP
    sheet = Image.new("RGB", (width, len(results) * row + _LINE + 2 * _GAP), "black")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(_FONT)
    for number, found in enumerate(results):
        verdict = found.result
        y = _GAP + number * row
        text = f"{verdict.label} {verdict.probability:.0%}   {Path(found.name).name}"
        pen.text((_GAP, y), text, fill="#ff7b72" if verdict.positive else "#7ee787", font=font)
        for column, image in enumerate(middle_slices(found.unit(), found.name)):
            x = _GAP + column * (_SIDE + _GAP)
            place = (x + (_SIDE - image.width) // 2, y + _LINE + (_SIDE - image.height) // 2)
            sheet.paste(image, place)
    pen.text((_GAP, sheet.height - _LINE - _GAP // 2), notice, fill="#e3b341", font=font)
    try:
        sheet.save(path)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path} cannot be written: {error}") from error


def middle_slices(data: bytes, name: str) -> list[Image.Image]:
    """Return the axial, coronal and sagittal middle slices of a NIfTI file, in true proportions.

    Raises:
        InvalidInput: as for :func:`naiad.applications.medical.nifti.read`.
    """
    volume = nifti.read(data, name=name)
    return [_slice(volume, axis) for axis in (2, 1, 0)]


def _slice(volume: Volume, axis: int) -> Image.Image:
    stored = np.take(volume.stored, volume.shape[axis] // 2, axis=axis)
    low, high = HOUNSFIELD
    grey = np.clip((volume.scaled(stored) - low) / (high - low), 0, 1) * 255
    # Rows of a picture go down, and the scan's last axis goes up.
    image = Image.fromarray(np.ascontiguousarray(grey.astype(np.uint8).T[:: -1 if axis < 2 else 1]))
    across, along = (
        max(1e-6, length * spacing)
        for i, (length, spacing) in enumerate(zip(volume.shape, volume.spacing, strict=True))
        if i != axis
    )
    scale = _SIDE / max(across, along)
    return image.resize((max(1, round(across * scale)), max(1, round(along * scale))))
