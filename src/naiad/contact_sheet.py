"""Contact sheets: small pictures with their captions, on one page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

from naiad.errors import InvalidInput, MissingExtra
from naiad.files import suffix_of, whole_file

try:
    from PIL import Image, ImageDraw, ImageFont, ImageOps
except ImportError as error:
    raise MissingExtra("image", "pillow") from error

_SUFFIXES: Final = (".png", ".jpg", ".pdf")

Unit = TypeVar("Unit")
Tile: TypeAlias = tuple[Image.Image, Sequence[tuple[str, str]]]
"""A picture, and the lines of its caption with their colours."""


def contact_sheet(
    units: Sequence[Unit],
    tile: Callable[[Unit], Tile],
    path: Path,
    notice: str,
    *,
    size: tuple[int, int],
    columns: tuple[int, int],
    gap: int,
    line: int,
    font: int,
    lines: int = 1,
    above: bool = False,
    dark: bool = True,
) -> None:
    """Draw a tile for each unit, in rows, with a notice at the bottom; for no units, do nothing.

    Args:
        units: what is drawn.
        tile: makes the tile of a unit.
        path: of the sheet.
        notice: text at the bottom.
        size: width and height of a picture, in pixels, as all sizes.
        columns: least and largest number of pictures side by side.
        gap: between pictures.
        line: height of a line of text.
        font: size of the text.
        lines: number of lines of a caption.
        above: put captions above the pictures, not below.
        dark: draw on black, not on white.

    Raises:
        InvalidInput: the suffix is no format of sheets; also for no units.
        NaiadError: the sheet cannot be written.
    """
    if suffix_of(path) not in _SUFFIXES:
        raise InvalidInput(f"{path}: contact sheets are written as {', '.join(_SUFFIXES)}")
    if not units:
        return
    paper, grey = ("black", "#e3b341") if dark else ("white", "grey")
    across = max(columns[0], min(columns[1], len(units)))
    wide, high = size[0] + gap, size[1] + lines * line + gap
    whole = (across * wide + gap, -(-len(units) // across) * high + line + 2 * gap)
    sheet = Image.new("RGB", whole, paper)
    pen, letters = ImageDraw.Draw(sheet), ImageFont.load_default(font)
    for number, (picture, caption) in enumerate(map(tile, units)):
        x, y = gap + number % across * wide, gap + number // across * high
        top = y + lines * line if above else y
        sheet.paste(ImageOps.pad(picture.convert("RGB"), size), (x, top))
        under = y if above else y + size[1] + 2
        for place, (text, colour) in enumerate(caption):
            while len(text) > 1 and letters.getlength(text) > size[0]:
                text = f"{text[:-2]}…"  # it would run into the next picture
            pen.text((x, under + place * line), text, fill=colour, font=letters)
    pen.text((gap, whole[1] - line - gap // 2), notice, fill=grey, font=letters)
    with whole_file(path) as partial:
        sheet.save(partial)
