"""What the ``mednist_class`` model takes and gives, and the bounds on what it accepts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np

from naiad.core.schema import BYTES, Array, Schema, Tensor

MAX_BYTES: Final = 20 << 20
"""Largest image file, in bytes."""
MAX_PIXELS: Final = 1 << 22
"""Most pixels of one image, read from its header before anything is decoded: 2,048 x 2,048."""
MAX_REQUEST_PIXELS: Final = 1 << 26
"""Most pixels of all images of one request together."""
MAX_IMAGES: Final = 4_096
"""Most images of one request."""
MIN_SIDE: Final = 32
"""Fewest pixels along a side: smaller images vanish in a DenseNet's poolings."""

CLASSES: Final = ("AbdomenCT", "BreastMRI", "CXR", "ChestCT", "Hand", "HeadCT")

NOTICE: Final = "trained on synthetic phantoms, not for diagnosis"
"""Of the weights that come with Naiad."""
FOREIGN: Final = "weights from outside of Naiad: for research, not for diagnosis"
"""Of TorchScript files."""

INPUTS: Final[Schema] = {
    "INPUT0": Tensor(
        BYTES, ("images", 1), doc="JPEG or PNG files, each whole, of any size", counts="bytes"
    ),
}

OUTPUTS: Final[Schema] = {
    "OUTPUT0": Tensor(BYTES, ("images",), doc=f"the class: {', '.join(CLASSES)}"),
    "SCORES": Tensor(
        "float32", ("images", len(CLASSES)), doc="probability of each class, in that order"
    ),
}


def as_request(images: Iterable[bytes]) -> dict[str, Array]:
    """Return the tensors of a request for some images."""
    return {"INPUT0": np.array([*images, None], object)[:-1, None]}
