"""Inputs, outputs and limits of the ``monai_covid`` model."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np

from naiad.core.schema import BYTES, Array, Schema, Tensor

MAX_BYTES: Final = 512 << 20
"""Maximum size of a file as sent, in bytes."""
MAX_VOLUME: Final = 1 << 30
"""Maximum size of a volume, uncompressed, in bytes: 512 x 512 x 2,048 voxels of 16 bits."""
MAX_VOLUMES: Final = 12
"""Maximum number of volumes in a request, and in a batch."""

SHAPE: Final = (192, 192, 64)
"""Voxels of the network's input, along the axes of the file."""
TOGETHER: Final = 4
"""Volumes that go through the network together: MONAI's DenseNet121 needs some 80 bytes per voxel,
190 MB per volume, and is not faster with more on a CPU."""
HOUNSFIELD: Final = (-1000.0, 500.0)
"""Hounsfield units that are scaled to 0 and 1; air and bone."""
MARGIN: Final = 5
"""Voxels kept around everything denser than air."""

POSITIVE: Final = "COVID Positive"
NEGATIVE: Final = "COVID Negative"
PROBABILITY: Final = "P(COVID)"
"""Name of the probability for people, whichever the verdict."""
THRESHOLD: Final = 0.5
"""Least probability of a positive result."""

NOTICE: Final = "trained on synthetic phantoms, not for diagnosis"
"""Notice of the weights that come with Naiad."""
FOREIGN: Final = "weights from outside of Naiad: for research, not for diagnosis"
"""Notice of TorchScript files."""

INPUTS: Final[Schema] = {
    "INPUT0": Tensor(
        BYTES, ("volumes", 1), doc="NIfTI files, .nii or .nii.gz, each whole", counts="bytes"
    ),
}

OUTPUTS: Final[Schema] = {
    "OUTPUT0": Tensor(BYTES, ("volumes",), doc=f'"{POSITIVE}" or "{NEGATIVE}"'),
    "PROBABILITY": Tensor("float32", ("volumes",), doc="of COVID-19, whichever the label"),
}


def as_request(volumes: Iterable[bytes]) -> dict[str, Array]:
    """Return the tensors of a request for some volumes."""
    return {"INPUT0": np.array([*volumes, None], object)[:-1, None]}
