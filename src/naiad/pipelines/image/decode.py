"""Image files as pixels: decoded, upright, in colour, and of the size that a network wants.

What is done with what photographs and drawings have beside colours:

- turned by EXIF's orientation: turned upright;
- transparent: laid on white;
- CMYK, palettes, grey, black and white: turned into red, green and blue, without colour profiles;
- 16 bits per colour: the upper 8;
- animated, or several pictures in one file: the first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from io import BytesIO
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from naiad.errors import InvalidInput, MissingExtra
from naiad.pipelines.image.schema import MAX_BYTES, MAX_PIXELS, MAX_REQUEST_PIXELS

try:
    from PIL import Image, ImageOps
except ImportError as error:
    raise MissingExtra("image", "pillow") from error

FORMATS: Final = ("JPEG", "PNG")

# How files that people take for images begin, to tell them what they have sent.
_KINDS: Final = {
    b"\xff\xd8": "a damaged JPEG",
    b"\x89PNG": "a damaged PNG",
    b"GIF8": "a GIF",
    b"RIFF": "a WebP or another RIFF file",
    b"BM": "a BMP",
    b"II*\0": "a TIFF",
    b"MM\0*": "a TIFF",
    b"%PDF": "a PDF",
    b"<": "text, perhaps SVG or HTML",
}
_MEGA: Final = 1_000_000
# JPEG files are decoded at a smaller scale, but not below so many times what is wanted: from there
# on the result is as good as that of the whole picture made smaller (Pillow's own advice is 2).
_SPARE: Final = 2


def decode(
    files: Sequence[bytes], height: int, width: int, *, crop: float | None = None, name: str
) -> NDArray[np.uint8]:
    """The pixels of image files, red, green and blue: uint8 ``[files, height, width, 3]``.

    The sizes of all are read from their headers before the first is decoded.

    Args:
        files: JPEG or PNG, each whole.
        height: in pixels.
        width: in pixels.
        crop: as of :class:`naiad.pipelines.image.facts.Preprocessing`.
        name: what the files are called in messages.

    Raises:
        InvalidInput: a file is none, is damaged or is too large; says which and why.
    """
    opened: list[Image.Image] = []
    total = 0
    for number, data in enumerate(files):
        place = f"{name}[{number}]"
        image = _open(data, place)
        total += image.width * image.height
        if total > MAX_REQUEST_PIXELS:
            raise InvalidInput(
                f"{place}: {name} has {total / _MEGA:,.0f} megapixels up to here; one request may "
                f"have {MAX_REQUEST_PIXELS / _MEGA:,.0f}: send several"
            )
        opened.append(image)
    pixels = np.empty((len(files), height, width, 3), np.uint8)
    for number, image in enumerate(opened):
        try:
            pixels[number] = _pixels(image, height, width, crop)
        except MemoryError:
            raise
        except Exception as error:  # Pillow raises what its decoders happen to
            raise InvalidInput(
                f"{name}[{number}] is a damaged {image.format}: {error or type(error).__name__}"
            ) from error
        image.close()
    return pixels


def _open(data: bytes, place: str) -> Image.Image:
    """Read the header, and refuse what must not be decoded."""
    if not data:
        raise InvalidInput(f"{place} is empty; it must be a JPEG or PNG")
    if len(data) > MAX_BYTES:
        raise InvalidInput(
            f"{place} has {len(data):,} bytes; a file may have {MAX_BYTES:,}: make it smaller"
        )
    try:
        image = Image.open(BytesIO(data), formats=FORMATS)
        width, height = image.size
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        # Pillow has a limit of its own, far above ours.
        raise InvalidInput(f"{place} is far too large; {_most()}") from None
    except MemoryError:
        raise
    except Exception as error:
        raise InvalidInput(f"{place} is {_kind(data)}; it must be a whole JPEG or PNG") from error
    if width * height > MAX_PIXELS:
        raise InvalidInput(f"{place} has {width:,} x {height:,} pixels; {_most()}: make it smaller")
    return image


def _most() -> str:
    return f"an image may have {MAX_PIXELS / _MEGA:,.0f} megapixels"


def _kind(data: bytes) -> str:
    """What a file seems to be, in words."""
    for start, what in _KINDS.items():
        if data.startswith(start):
            return what
    if data[4:8] == b"ftyp":
        return "a HEIC, AVIF or video file"
    return f"no image that can be read (it begins with {data[:8]!r})"


def _pixels(image: Image.Image, height: int, width: int, crop: float | None) -> NDArray[np.uint8]:
    # Only for JPEG; for others this does nothing.
    factor = _SPARE * max(height, width) / ((crop or 1.0) * min(image.size))
    image.draft("RGB", (math.ceil(image.width * factor), math.ceil(image.height * factor)))
    upright = _plain(ImageOps.exif_transpose(image))
    # The box is cut out while resizing: made smaller as a whole first, a picture of 1 x 1,000,000
    # pixels would become larger.
    small = upright.resize(
        (width, height), Image.Resampling.BILINEAR, box=_box(upright.size, height, width, crop)
    )
    if small.mode == "RGBA":
        white = Image.new("RGBA", small.size, "white")
        small = Image.alpha_composite(white, small)
    return np.asarray(small.convert("RGB"))


def _plain(image: Image.Image) -> Image.Image:
    """The picture in one of the modes RGB, RGBA and L, 8 bits each."""
    if image.mode.startswith("I"):  # 16 bits of grey; convert() would make all of it white
        grey: NDArray[Any] = np.asarray(image)
        return Image.fromarray((grey >> 8).astype(np.uint8))
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image if image.mode in ("RGB", "L") else image.convert("RGB")


def _box(
    size: tuple[int, int], height: int, width: int, crop: float | None
) -> tuple[float, float, float, float]:
    """The part that is used, in pixels: left, top, right, bottom."""
    if crop is None:
        return (0, 0, *size)
    scale = crop * min(size[0] / width, size[1] / height)
    # Rounding may make the window the smallest bit larger than the picture, which Pillow refuses.
    left, top = (
        max(0.0, (side - scale * wanted) / 2)
        for side, wanted in zip(size, (width, height), strict=True)
    )
    return (left, top, size[0] - left, size[1] - top)
