"""Opening of untrusted picture files, in the formats of `naiad.image_formats`."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from io import BytesIO
from typing import Final

import numpy as np

from naiad.errors import InvalidInput, MissingExtra
from naiad.image_formats import AVIF, FORMATS, HEIC, JPEG, NAMES, WEBP, Format, format_of, other
from naiad.image_parts import Parts, exif_orientation, parts_of

try:
    from PIL import Image, features
except ImportError as error:
    raise MissingExtra("image", "pillow") from error

_MEGA: Final = 1_000_000
_NAMES: Final = {one.pillow: one.name for one in FORMATS}
_ORIENTATION: Final = "upright by"  # in Image.info, which Pillow has no such key of
_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def open_picture(data: bytes, place: str, *, most_bytes: int, most_pixels: int) -> Image.Image:
    """Read and check the header of a file, without decoding it; ``place`` names it in messages.

    Metadata are left out, see `naiad.image_parts`; the orientation is kept for `upright`.

    Raises:
        InvalidInput: it is of none of the formats, or of one that the libraries here do not read;
            it has too many bytes or pixels, or values of 12 or 32 bits.
    """
    if not data:
        raise InvalidInput(f"{place} is empty; it must be a {NAMES}")
    if len(data) > most_bytes:
        raise InvalidInput(
            f"{place} has {len(data):,} bytes; a file may have {most_bytes:,}: make it smaller"
        )
    kind = format_of(data)
    if kind is None:
        raise InvalidInput(f"{place} is {other(data)}; it must be a whole {NAMES}")
    _need_decoder(kind, place)
    parts = parts_of(data, kind)
    if kind is JPEG and parts.bits not in (0, 8):
        raise InvalidInput(
            f"{place} is a JPEG of {parts.bits} bits per colour, which Pillow cannot decode; save "
            "it as a JPEG of 8 bits, or as a PNG or TIFF of 16 bits"
        )
    most = f"an image may have {most_pixels / _MEGA:,.0f} megapixels"
    if parts.size is not None:
        _refuse_large(parts.size, place, most_pixels, most)
    image = _opened(parts, kind, place, most)
    _refuse_large(image.size, place, most_pixels, most)
    if image.mode == "F" or (image.mode == "I" and image.format != "PNG"):
        raise InvalidInput(
            f"{place} has signed or 32-bit values, whose white the file does not tell; save it "
            "with 8 or 16 bits"
        )
    image.info[_ORIENTATION] = parts.orientation
    return image


@contextmanager
def decoding(image: Image.Image, place: str) -> Generator[None, None, None]:
    """Turn errors while ``image`` is decoded into `InvalidInput`."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoders raise all kinds
        name = _NAMES.get(image.format or "", "picture")
        raise InvalidInput(
            f"{place} is a damaged {name}: {error or type(error).__name__}"
        ) from error


def upright(image: Image.Image) -> Image.Image:
    """Return an opened picture turned by its orientation. Decoders of TIFF and HEIC turn it."""
    image.load()
    turn = _TURNS.get(image.info.get(_ORIENTATION, 1))
    if image.format == AVIF.pillow:
        # Pillow writes this EXIF itself, from properties of the file.
        exif: bytes = image.info.get("exif", b"")
        turn = _TURNS.get(exif_orientation(exif.removeprefix(b"Exif\0\0")))
    return image if turn is None else image.transpose(turn)


def is_grey_16(image: Image.Image) -> bool:
    """Return whether it has 16-bit grey values, which Pillow's ``convert`` would make all white."""
    return image.mode.startswith("I")


def eight_bits(image: Image.Image) -> Image.Image:
    """Return the image with the upper 8 of 16 bits of grey, and its transparency; others as is."""
    if not is_grey_16(image):
        return image
    values = np.asarray(image).astype(np.uint16)
    grey = Image.fromarray((values >> 8).astype(np.uint8))
    clear = image.info.get("transparency")
    if not isinstance(clear, int):
        return grey
    opacity = Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8))
    return Image.merge("LA", (grey, opacity))


def _opened(parts: Parts, kind: Format, place: str, most: str) -> Image.Image:
    try:
        return Image.open(BytesIO(parts.data), formats=(kind.pillow,))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        # Pillow's own limit is far above ours.
        raise InvalidInput(f"{place} is far too large; {most}") from None
    except MemoryError:
        raise
    except Exception as error:
        raise InvalidInput(
            f"{place} is a damaged {kind.name}; it must be a whole {NAMES}"
        ) from error


def _refuse_large(size: tuple[int, int], place: str, most_pixels: int, most: str) -> None:
    width, height = size
    if width * height > most_pixels:
        raise InvalidInput(f"{place} has {width:,} x {height:,} pixels; {most}: make it smaller")


def _need_decoder(kind: Format, place: str) -> None:
    """Register or look for the decoder of a format.

    Raises:
        InvalidInput: it is not there; says what to install.
    """
    if kind is HEIC:
        try:
            import_module("pillow_heif").register_heif_opener(thumbnails=False, aux_images=False)
        except ImportError as error:
            raise InvalidInput(
                f"{place} is a HEIC; pillow-heif, which decodes it, is not installed where the "
                "picture is read (extra: heic)"
            ) from error
    elif kind in (WEBP, AVIF) and not features.check(kind.pillow.lower()):
        raise InvalidInput(
            f"{place} is a {kind.name}, which this Pillow was built without; install that of PyPI, "
            "11.3 or newer"
        )
