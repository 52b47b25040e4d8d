"""Untrusted JPEG and PNG bytes: opening them, or saying what was sent instead."""

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


def open_picture(data: bytes, place: str, *, most_bytes: int, most_pixels: int) -> Image.Image:
    """Read the header of a file, and refuse what must not be decoded; nothing is decoded yet.

    ``place`` is what the file is called in messages.

    Raises:
        InvalidInput: it is no JPEG or PNG, or has too many bytes or pixels.
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
        # Pillow has a limit of its own, far above ours.
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
    """Turn what goes wrong while ``image`` is decoded into an InvalidInput."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:  # Pillow raises what its decoders happen to
        raise InvalidInput(
            f"{place} is a damaged {image.format}: {error or type(error).__name__}"
        ) from error


def upright(image: Image.Image) -> Image.Image:
    """The picture turned as its EXIF orientation says."""
    return ImageOps.exif_transpose(image)


def is_grey_16(image: Image.Image) -> bool:
    """Whether it has 16 bits of grey; Pillow's ``convert`` would make all of it white."""
    return image.mode.startswith("I")


def eight_bits(image: Image.Image) -> Image.Image:
    """The picture with the upper 8 of 16 bits of grey; others as they are."""
    if not is_grey_16(image):
        return image
    return Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))


def _kind(data: bytes) -> str:
    """What a file seems to be, in words."""
    for start, what in _KINDS.items():
        if data.startswith(start):
            return what
    if data[4:8] == b"ftyp":
        return "a HEIC, AVIF or video file"
    return f"no image that can be read (it begins with {data[:8]!r})"
