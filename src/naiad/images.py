"""Opening of untrusted JPEG and PNG bytes, with the names of other formats for messages."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from io import BytesIO
from typing import Final

import numpy as np

from naiad.errors import InvalidInput, MissingExtra

try:
    from PIL import Image, ImageOps
except ImportError as error:
    raise MissingExtra("image", "pillow") from error

FORMATS: Final = ("JPEG", "PNG")

# First bytes of files that users mistake for JPEG or PNG, to name the format.
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


def open_picture(data: bytes, place: str, *, most_bytes: int, most_pixels: int) -> Image.Image:
    """Read and check the header of a file, without decoding it; ``place`` names it in messages.

    Raises:
        InvalidInput: it is not a JPEG or PNG, or has too many bytes or pixels.
    """
    if not data:
        raise InvalidInput(f"{place} is empty; it must be a JPEG or PNG")
    if len(data) > most_bytes:
        raise InvalidInput(
            f"{place} has {len(data):,} bytes; a file may have {most_bytes:,}: make it smaller"
        )
    most = f"an image may have {most_pixels / _MEGA:,.0f} megapixels"
    try:
        image = Image.open(BytesIO(data), formats=FORMATS)
        width, height = image.size
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        # Pillow's own limit is far above ours.
        raise InvalidInput(f"{place} is far too large; {most}") from None
    except MemoryError:
        raise
    except Exception as error:
        raise InvalidInput(f"{place} is {_kind(data)}; it must be a whole JPEG or PNG") from error
    if width * height > most_pixels:
        raise InvalidInput(f"{place} has {width:,} x {height:,} pixels; {most}: make it smaller")
    return image


@contextmanager
def decoding(image: Image.Image, place: str) -> Generator[None, None, None]:
    """Turn errors while ``image`` is decoded into `InvalidInput`."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoders raise all kinds
        raise InvalidInput(
            f"{place} is a damaged {image.format}: {error or type(error).__name__}"
        ) from error


def upright(image: Image.Image) -> Image.Image:
    """Return the image turned by its EXIF orientation."""
    return ImageOps.exif_transpose(image)


def is_grey_16(image: Image.Image) -> bool:
    """Return whether it has 16-bit grey values, which Pillow's ``convert`` would make all white."""
    return image.mode.startswith("I")


def eight_bits(image: Image.Image) -> Image.Image:
    """Return the image with the upper 8 of 16 bits of grey; others unchanged."""
    if not is_grey_16(image):
        return image
    return Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))


def _kind(data: bytes) -> str:
    """Return the format that a file seems to have, in words."""
    for start, what in _KINDS.items():
        if data.startswith(start):
            return what
    if data[4:8] == b"ftyp":
        return "a HEIC, AVIF or video file"
    return f"not a readable image (it begins with {data[:8]!r})"
