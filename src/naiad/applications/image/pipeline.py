"""The ``image`` model: picture files in, labels out."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from naiad.applications.image.card import ImageCard, read_folder
from naiad.applications.image.schema import INPUTS, MAX_IMAGES, OUTPUTS
from naiad.core.budget import Budget
from naiad.core.merging import Batch
from naiad.core.pipeline import Pipeline, Request
from naiad.core.schema import REQUESTS, Array, Arrays, Tensor
from naiad.core.settings import RUNTIMES

if TYPE_CHECKING:
    from naiad.applications.image.networks import Classifier

EXAMPLE = Path(__file__).parent / "data" / "example.jpg"
"""A generated picture of a star."""


class ImageClassifier(Pipeline):
    """Classes of images, by any classifier in a folder of weights."""

    name = "image"
    inputs = INPUTS
    sample = {
        "pixels": Tensor("uint8", ("images", "height", "width", 3), doc="red, green and blue"),
        "top": Tensor("int32", (REQUESTS,)),
    }
    result = {
        "probabilities": Tensor("float32", ("images", "classes"), doc="of every class"),
        "top": Tensor("int32", (REQUESTS,)),
    }
    outputs = OUTPUTS
    # On a CPU most of the work is decoding. Neither it nor the network is much faster per image in
    # larger batches, which keep other requests waiting (benchmarks/images.py).
    budget = Budget(images=4)
    limit = Budget(images=MAX_IMAGES)
    prepare_threads = 4
    runtimes = RUNTIMES
    arrays = "numpy"  # ONNX needs no torch, whose import takes most of a worker's start
    weights = "data/weights"

    @cached_property
    def folder(self) -> tuple[ImageCard, tuple[str, ...]]:
        """Card and labels of the weights."""
        assert self.weights_path is not None
        return read_folder(self.weights_path)

    def metadata(self) -> Mapping[str, str]:
        """Return notice and sha256 of the weights, and the number of classes."""
        card, labels = self.folder
        return {
            "notice": card.notice,
            "classes": str(len(labels)),
            "weights_sha256": card.sha256,
        }

    def setup(self, device: str) -> None:
        """Load network and decoder."""
        from naiad.applications.image.decode import decode

        self._classifier = load(self, device)
        self._labels = np.array([label.encode() for label in self.folder[1]], object)
        self._decode = decode

    def prepare(self, request: Request) -> Arrays:
        """Decode the images of a request to the network's size."""
        wanted = self._classifier.card.preprocessing
        pixels = self._decode(
            request["images"].tolist(),
            wanted.height,
            wanted.width,
            crop=wanted.crop,
            name="images",
        )
        return {"pixels": pixels, "top": request["top"]}

    def forward(self, batch: Batch) -> Mapping[str, Any]:
        """Classify the images of a batch."""
        return {"probabilities": self._classifier(batch["pixels"]), "top": batch["top"]}

    def finish(self, result: Arrays) -> Arrays:
        """Return the best classes of each image; the lower number first among equals."""
        probabilities = result["probabilities"]
        top = min(int(result["top"][0]), probabilities.shape[1])
        classes = np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
        return {
            "scores": np.take_along_axis(probabilities, classes, axis=1),
            "classes": classes.astype(np.int32),
            "labels": self._labels[classes],
        }

    def example(self) -> dict[str, Array]:
        """Return a picture of a star."""
        return {
            "images": np.array([EXAMPLE.read_bytes()], object),
            "top": np.array([5], np.int32),
        }


def load(pipeline: Pipeline, device: str) -> Classifier:
    """Load the classifier of a pipeline's weights onto ``device``."""
    from naiad.applications.image.networks import open_classifier

    assert pipeline.weights_path is not None
    card, labels = read_folder(pipeline.weights_path)
    return open_classifier(
        pipeline.weights_path,
        card,
        len(labels),
        device,
        runtime=pipeline.runtime,
    )
