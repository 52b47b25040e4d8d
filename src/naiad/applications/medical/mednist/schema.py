"""Inputs, outputs and limits of the ``mednist_class`` model."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np

from naiad.core.schema import BYTES, Array, Schema, Tensor
from naiad.image_formats import NAMES

MAX_BYTES: Final = 20 << 20
"""Maximum size of an image file, in bytes."""
MAX_PIXELS: Final = 1 << 22
"""Maximum pixels of an image, read from its header before anything is decoded: 2,048 x 2,048."""
MAX_REQUEST_PIXELS: Final = 1 << 26
"""Maximum pixels of all images of a request."""
MAX_IMAGES: Final = 4_096
"""Maximum number of images in a request."""
MIN_SIDE: Final = 32
"""Minimum pixels along a side: smaller images vanish in a DenseNet's poolings."""

CLASSES: Final = ("AbdomenCT", "BreastMRI", "CXR", "ChestCT", "Hand", "HeadCT")

NOTICE: Final = "trained on synthetic phantoms, not for diagnosis"
"""Notice of the weights that come with Naiad."""
FOREIGN: Final = "weights from outside of Naiad: for research, not for diagnosis"
"""Notice of TorchScript files."""

INPUTS: Final[Schema] = {
    "INPUT0": Tensor(
        BYTES, ("images", 1), doc=f"{NAMES} files, each whole, of any size", counts="bytes"
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
