"""Preparation of image files for the network: grey, 0 to 1, the first axis along the width.

For grey images the same as these transforms of MONAI (tests compare them), whose reader returns the
transposed image::

    LoadImage(reader="PILReader", image_only=True, dtype=numpy.float32)
    ScaleIntensity()

Other images are converted to grey first, see :func:`decode`. Images keep their size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from naiad.applications.medical.mednist.schema import (
    MAX_BYTES,
    MAX_PIXELS,
    MAX_REQUEST_PIXELS,
    MIN_SIDE,
)
from naiad.errors import InvalidInput, MissingExtra
from naiad.images import decoding, is_grey_16, open_picture, upright

try:
    from PIL import Image
except ImportError as error:
    raise MissingExtra("mednist", "pillow") from error

_MEGA: Final = 1_000_000


def decode(files: Sequence[bytes], name: str) -> list[NDArray[np.float32]]:
    """Decode files to images, each float32 ``[width, height]``, 0 to 1.

    Colours, palettes and CMYK become grey (ITU-R 601-2 luma), all 16 bits of grey are used, images
    are turned upright by EXIF, transparency is ignored. An image of a single grey becomes 0.

    Args:
        files: in the formats of `naiad.image_formats`, each complete.
        name: name of the files in messages.

    Raises:
        InvalidInput: a file is not an image, is damaged, or has too many or too few pixels; all
            headers are checked before the first file is decoded.
    """
    opened = [
        open_picture(data, f"{name}[{number}, 0]", most_bytes=MAX_BYTES, most_pixels=MAX_PIXELS)
        for number, data in enumerate(files)
    ]
    total = 0
    for number, image in enumerate(opened):
        total += image.width * image.height
        if min(image.size) < MIN_SIDE:
            raise InvalidInput(
                f"{name}[{number}, 0] has {image.width} x {image.height} pixels; a side must have "
                f"at least {MIN_SIDE}"
            )
        if total > MAX_REQUEST_PIXELS:
            raise InvalidInput(
                f"{name} has {total / _MEGA:,.0f} megapixels up to image {number}; one request may "
                f"have {MAX_REQUEST_PIXELS / _MEGA:,.0f}: send several"
            )
    pixels: list[NDArray[np.float32]] = []
    for number, image in enumerate(opened):
        with decoding(image, f"{name}[{number}, 0]"):
            pixels.append(scaled(np.asarray(_grey(upright(image)), np.float32).T))
        image.close()
    return pixels


def _grey(image: Image.Image) -> Image.Image:
    if is_grey_16(image) or image.mode == "L":
        return image
    # By way of RGBA, as Pillow would warn of a palette's transparent colours.
    return image.convert("RGBA" if image.has_transparency_data else "RGB").convert("L")


def scaled(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale values to 0 to 1 by their minimum and maximum; to 0 if all are equal."""
    low, high = values.min(), values.max()
    if low == high:
        return np.zeros(values.shape, np.float32)
    return np.ascontiguousarray((values - low) / (high - low))
