"""A contact sheet: small pictures with their labels, on one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from naiad.applications.image.client import Classification
from naiad.applications.image.decode import decode
from naiad.applications.image.files import read_image
from naiad.errors import InvalidInput, MissingExtra

try:
    from PIL import Image, ImageDraw, ImageFont
except ImportError as error:
    raise MissingExtra("image", "pillow") from error

MOST: Final = 200
"""Pictures on one sheet."""

_SIDE, _GAP, _LINE, _FONT = 160, 12, 18, 14  # pixels
_COLUMNS = 6


def draw(results: Sequence[tuple[Path, Classification]], path: Path, notice: str) -> None:
    """Draw image files with what was found on them: a grid of squares, and the notice.

    Raises:
        InvalidInput: a file cannot be read any more, or the sheet cannot be written.
    """
    columns = max(1, min(_COLUMNS, len(results)))
    rows = -(-len(results) // columns)
    height = _SIDE + 2 * _LINE + _GAP
    size = (columns * (_SIDE + _GAP) + _GAP, rows * height + _LINE + 2 * _GAP)
    sheet = Image.new("RGB", size, "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(_FONT)
    for number, (file, found) in enumerate(results):
        x = _GAP + number % columns * (_SIDE + _GAP)
        y = _GAP + number // columns * height
        (pixels,) = decode([read_image(file)], _SIDE, _SIDE, crop=1.0, name=str(file))
        sheet.paste(Image.fromarray(pixels), (x, y))
        for line, text in enumerate((f"{found.label} {found.score:.0%}", file.name)):
            place = (x, y + _SIDE + 2 + line * _LINE)
            pen.text(place, _fitted(text, font), fill=("black", "grey")[line], font=font)
    pen.text((_GAP, size[1] - _LINE - _GAP), notice, fill="grey", font=font)
    try:
        sheet.save(path)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path} cannot be written: {error}") from error


def _fitted(text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> str:
    """The text, cut where it would run into the next picture."""
    while len(text) > 1 and font.getlength(text) > _SIDE:
        text = f"{text[:-2]}…"
    return text
