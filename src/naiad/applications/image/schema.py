"""Inputs, outputs and limits of the ``image`` model."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np

from naiad.core.schema import BYTES, REQUESTS, Array, Schema, Tensor
from naiad.image_formats import NAMES

MAX_BYTES: Final = 20 << 20
"""Maximum size of an image file, in bytes."""
MAX_PIXELS: Final = 50_000_000
"""Maximum pixels of an image, read from its header before anything is decoded."""
MAX_REQUEST_PIXELS: Final = 200_000_000
"""Maximum pixels of all images of a request."""
MAX_IMAGES: Final = 128
"""Maximum number of images in a request."""

SHAPES: Final = (
    *("circle", "ring", "square", "triangle", "star", "cross"),
    *("stripes", "checkerboard", "dots", "plain"),
)
"""The classes of the network that comes with Naiad; ``plain`` is an empty picture."""

INPUTS: Final[Schema] = {
    "images": Tensor(BYTES, ("images",), doc=f"{NAMES} files, each whole, of any size"),
    "top": Tensor(
        "int32",
        (REQUESTS,),
        optional=True,
        default=5,
        minimum=1,
        doc="how many of the best classes are wanted; 5 where it is left out",
    ),
}

OUTPUTS: Final[Schema] = {
    "scores": Tensor("float32", ("images", "top"), doc="probabilities, the best first"),
    "classes": Tensor("int32", ("images", "top"), doc="number of each class, from 0"),
    "labels": Tensor(BYTES, ("images", "top"), doc="name of each class, UTF-8"),
}


def as_request(images: Iterable[bytes], top: int) -> dict[str, Array]:
    """Return the tensors of a request for the ``top`` best classes of each image."""
    return {"images": np.array([*images, None], object)[:-1], "top": np.array([top], np.int32)}
