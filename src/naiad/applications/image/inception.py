"""The ``inception_graphdef`` model: the contract of Triton's image clients.

The original is Inception v3 as a TensorFlow GraphDef, with 1001 classes: background and the 1000 of
ImageNet. Here any classifier of 299 x 299 pixels answers by the same contract. With 1001 classes it
fills all outputs; with fewer it fills outputs 1, 2, ..., so that a network of ImageNet's 1000
classes is where clients expect it. The label file has the network's own labels; unused outputs are
labelled as such and have score 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Final

import numpy as np

from naiad.applications.image.card import ImageCard, read_folder
from naiad.applications.image.pipeline import load
from naiad.core.budget import Budget
from naiad.core.merging import Batch
from naiad.core.pipeline import Pipeline
from naiad.core.schema import Array, Tensor
from naiad.errors import WeightsError

SIZE: Final = 299
CLASSES: Final = 1001
OUTPUT: Final = "InceptionV3/Predictions/Softmax"


class InceptionGraphDef(Pipeline):
    """Probabilities of 1001 classes for images that the client has prepared."""

    name = "inception_graphdef"
    max_batch_size = 128
    inputs = {
        "input": Tensor(
            "float32",
            ("images", SIZE, SIZE, 3),
            layout="NHWC",
            doc="red, green and blue, scaled to -1 to 1: pixel / 127.5 - 1",
        )
    }
    outputs = {
        OUTPUT: Tensor("float32", ("images", CLASSES), doc="probability of each class"),
    }
    budget = Budget(images=8)  # more is not faster on a CPU
    arrays = "numpy"
    weights = "data/weights"

    @cached_property
    def folder(self) -> tuple[ImageCard, tuple[str, ...]]:
        """Card and labels of the weights.

        Raises:
            WeightsError: the weights do not fit this contract; says why, and what to do.
        """
        assert self.weights_path is not None
        card, labels = read_folder(self.weights_path)
        wanted = card.preprocessing
        if (wanted.height, wanted.width) != (SIZE, SIZE):
            raise WeightsError(
                f"{self.weights_path}: the network takes {wanted.height} x {wanted.width} pixels, "
                f"but clients of {self.name} send {SIZE} x {SIZE}; serve it as image"
            )
        if len(labels) > CLASSES:
            raise WeightsError(
                f"{self.weights_path}: {len(labels):,} classes, but {self.name} has {CLASSES:,}; "
                "serve it as image"
            )
        return card, labels

    def metadata(self) -> Mapping[str, str]:
        """Return the notice of the weights."""
        return {"notice": self.folder[0].notice}

    def labels(self) -> Mapping[str, Sequence[str]]:
        """Return the names of the 1001 classes."""
        known = self.folder[1]
        if len(known) == CLASSES:
            return {OUTPUT: known}
        before, after = self._places()
        unused = [f"(no class {CLASSES - after + place})" for place in range(after)]
        return {OUTPUT: ["(no class 0)"] * before + list(known) + unused}

    def setup(self, device: str) -> None:
        """Load the network."""
        self._classifier = load(self, device)

    def forward(self, batch: Batch) -> Mapping[str, Any]:
        """Classify the images of a batch."""
        pixels: Array = (batch["input"] + np.float32(1)) * np.float32(127.5)
        return {OUTPUT: np.pad(self._classifier(pixels), ((0, 0), self._places()))}

    def _places(self) -> tuple[int, int]:
        """Return the numbers of unused outputs before and after those with a class."""
        free = CLASSES - len(self.folder[1])
        before = min(free, 1)
        return before, free - before
