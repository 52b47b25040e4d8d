"""Decoding of image files to pixels: upright, in colour, and of the size that a network takes.

Other properties of photographs and drawings:

- EXIF orientation: the picture is turned upright;
- transparency: the background is white;
- CMYK, palettes, grey, black and white: converted to red, green and blue, without colour profiles;
- 16 bits per colour: the upper 8 are used;
- animations and several pictures in one file: the first is used.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from naiad.applications.image.schema import MAX_BYTES, MAX_PIXELS, MAX_REQUEST_PIXELS
from naiad.errors import InvalidInput, MissingExtra
from naiad.images import decoding, eight_bits, open_picture, upright

try:
    from PIL import Image
except ImportError as error:
    raise MissingExtra("image", "pillow") from error

_MEGA: Final = 1_000_000
# JPEG files are decoded at a smaller scale, but at least this many times the wanted size: then the
# result is as good as that of resizing the whole picture (Pillow advises 2).
_SPARE: Final = 2


def decode(
    files: Sequence[bytes], height: int, width: int, *, crop: float | None = None, name: str
) -> NDArray[np.uint8]:
    """Decode image files to red, green and blue: uint8 ``[files, height, width, 3]``.

    All sizes are read from the headers before the first file is decoded.

    Args:
        files: in the formats of `naiad.image_formats`, each complete.
        height: in pixels.
        width: in pixels.
        crop: as in :class:`naiad.applications.image.card.Preprocessing`.
        name: name of the files in messages.

    Raises:
        InvalidInput: a file is not an image, is damaged or is too large; says which and why.
    """
    opened: list[Image.Image] = []
    total = 0
    for number, data in enumerate(files):
        place = f"{name}[{number}]"
        image = open_picture(data, place, most_bytes=MAX_BYTES, most_pixels=MAX_PIXELS)
        total += image.width * image.height
        if total > MAX_REQUEST_PIXELS:
            raise InvalidInput(
                f"{place}: {name} has {total / _MEGA:,.0f} megapixels up to here; one request may "
                f"have {MAX_REQUEST_PIXELS / _MEGA:,.0f}: send several"
            )
        opened.append(image)
    pixels = np.empty((len(files), height, width, 3), np.uint8)
    for number, image in enumerate(opened):
        with decoding(image, f"{name}[{number}]"):
            pixels[number] = _pixels(image, height, width, crop)
        image.close()
    return pixels


def _pixels(image: Image.Image, height: int, width: int, crop: float | None) -> NDArray[np.uint8]:
    if image.format == "JPEG":  # of other formats, it might take a thumbnail for the picture
        factor = _SPARE * max(height, width) / ((crop or 1.0) * min(image.size))
        image.draft("RGB", (math.ceil(image.width * factor), math.ceil(image.height * factor)))
    plain = _plain(upright(image))
    # The box is cut out while resizing: resizing the whole first would enlarge a picture of
    # 1 x 1,000,000 pixels.
    small = plain.resize(
        (width, height), Image.Resampling.BILINEAR, box=_box(plain.size, height, width, crop)
    )
    if small.mode == "RGBA":
        white = Image.new("RGBA", small.size, "white")
        small = Image.alpha_composite(white, small)
    return np.asarray(small.convert("RGB"))


def _plain(image: Image.Image) -> Image.Image:
    """Convert the picture to mode RGB, RGBA or L, of 8 bits each."""
    image = eight_bits(image)
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image if image.mode in ("RGB", "L") else image.convert("RGB")


def _box(
    size: tuple[int, int], height: int, width: int, crop: float | None
) -> tuple[float, float, float, float]:
    """Return the part to use, in pixels: left, top, right, bottom."""
    if crop is None:
        return (0, 0, *size)
    scale = crop * min(size[0] / width, size[1] / height)
    # Rounding may make the window slightly larger than the picture, which Pillow refuses.
    left, top = (
        max(0.0, (side - scale * wanted) / 2)
        for side, wanted in zip(size, (width, height), strict=True)
    )
    return (left, top, size[0] - left, size[1] - top)
