"""A contact sheet: the images with their kinds, on one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from naiad.applications.medical.mednist.schema import MAX_BYTES, MAX_PIXELS
from naiad.errors import InvalidInput, MissingExtra
from naiad.images import open_picture, upright
from naiad.tasks.task import Found

try:
    from PIL import Image, ImageDraw, ImageFont, ImageOps
except ImportError as error:
    raise MissingExtra("mednist", "pillow") from error

_SIDE, _GAP, _LINE, _FONT = 112, 8, 16, 12  # pixels
_COLUMNS = 10


def draw(results: Sequence[Found], path: Path, notice: str) -> None:
    """Draw images with what they were found to be: a grid of squares, as PNG or JPEG.

    Raises:
        InvalidInput: a file cannot be read any more, or the sheet cannot be written.
    """
    columns = max(5, min(_COLUMNS, len(results)))
    rows, height = -(-len(results) // columns), _SIDE + _LINE + _GAP
    size = (columns * (_SIDE + _GAP) + _GAP, rows * height + _LINE + 2 * _GAP)
    sheet = Image.new("RGB", size, "black")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(_FONT)
    for number, found in enumerate(results):
        kind = found.result
        x = _GAP + number % columns * (_SIDE + _GAP)
        y = _GAP + number // columns * height
        image = open_picture(found.unit(), found.name, most_bytes=MAX_BYTES, most_pixels=MAX_PIXELS)
        sheet.paste(ImageOps.pad(upright(image).convert("RGB"), (_SIDE, _SIDE)), (x, y))
        pen.text((x, y + _SIDE + 1), f"{kind.label} {kind.score:.0%}", fill="white", font=font)
    pen.text((_GAP, sheet.height - _LINE - _GAP // 2), notice, fill="#e3b341", font=font)
    try:
        sheet.save(path)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path} cannot be written: {error}") from error
