"""A contact sheet: small pictures with their labels, on one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from naiad.applications.image.decode import decode
from naiad.errors import InvalidInput, MissingExtra
from naiad.tasks.task import Found

try:
    from PIL import Image, ImageDraw, ImageFont
except ImportError as error:
    raise MissingExtra("image", "pillow") from error

_SIDE, _GAP, _LINE, _FONT = 160, 12, 18, 14  # pixels
_COLUMNS = 6


def draw(results: Sequence[Found], path: Path, notice: str) -> None:
    """Draw images with their best classes: a grid of squares, and the notice.

    Raises:
        InvalidInput: a file cannot be read any more, or the sheet cannot be written.
    """
    columns = max(1, min(_COLUMNS, len(results)))
    rows = -(-len(results) // columns)
    height = _SIDE + 2 * _LINE + _GAP
    size = (columns * (_SIDE + _GAP) + _GAP, rows * height + _LINE + 2 * _GAP)
    sheet = Image.new("RGB", size, "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(_FONT)
    for number, found in enumerate(results):
        x = _GAP + number % columns * (_SIDE + _GAP)
        y = _GAP + number // columns * height
        (pixels,) = decode([found.unit()], _SIDE, _SIDE, crop=1.0, name=found.name)
        sheet.paste(Image.fromarray(pixels), (x, y))
        best = f"{found.result.label} {found.result.score:.0%}"
        for line, text in enumerate((best, Path(found.name).name)):
            place = (x, y + _SIDE + 2 + line * _LINE)
            pen.text(place, _fitted(text, font), fill=("black", "grey")[line], font=font)
    pen.text((_GAP, size[1] - _LINE - _GAP), notice, fill="grey", font=font)
    try:
        sheet.save(path)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path} cannot be written: {error}") from error


def _fitted(text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> str:
    """Return the text, cut where it would run into the next picture."""
    while len(text) > 1 and font.getlength(text) > _SIDE:
        text = f"{text[:-2]}…"
    return text
