"""The ``mednist_class`` model: image files in, one of six classes out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naiad import artifacts, torch_model
from naiad.applications.medical.mednist.schema import (
    CLASSES,
    FOREIGN,
    INPUTS,
    MAX_IMAGES,
    OUTPUTS,
    as_request,
)
from naiad.core.budget import Budget
from naiad.core.merging import Batch
from naiad.core.pipeline import Pipeline, Request
from naiad.core.schema import Array, Arrays, Tensor
from naiad.core.settings import RUNTIMES
from naiad.errors import PipelineError
from naiad.networks.opening import open_module

ARTIFACT = "mednist"
"""The public weights, served by default if they were downloaded."""

_FORWARD = 1 << 20  # pixels that go through the network together: 256 images of 64 x 64


class MedNist(Pipeline):
    """Kinds of medical images, by the network of MONAI's tutorial or a similar one."""

    name = "mednist_class"
    inputs = INPUTS
    sample = {
        # Images keep their size, so they are concatenated.
        "pixels": Tensor("float32", ("pixels",), doc="0 to 1, column after column"),
        "shape": Tensor("int64", ("images", 2), doc="width and height of each image"),
    }
    result = {"SCORES": Tensor("float32", ("images", len(CLASSES)))}
    outputs = OUTPUTS
    budget = Budget(images=256, bytes=64 << 20, pixels=_FORWARD)
    limit = Budget(images=MAX_IMAGES, bytes=256 << 20)
    waiting = Budget(bytes=1 << 30)
    prepare_threads = 4
    arrays = "numpy"
    runtimes = RUNTIMES
    weights = "data/weights"

    def __init__(self, weights: Path | None = None) -> None:
        """Serve ``weights``, else the public ones if they were downloaded, else Naiad's own."""
        super().__init__(weights or artifacts.path_if_present(ARTIFACT))

    def metadata(self) -> Mapping[str, str]:
        """Return the notice of the weights."""
        assert self.weights_path is not None
        return {"notice": torch_model.read(self.weights_path, foreign=FOREIGN).notice}

    def setup(self, device: str) -> None:
        """Load network and decoder."""
        from naiad.applications.medical.mednist.model import ModalityNet
        from naiad.applications.medical.mednist.pixels import decode

        assert self.weights_path is not None
        self._decode = decode
        self._network = open_module(
            torch_model.load(self.weights_path, lambda: ModalityNet(len(CLASSES)), device),
            _examples(),
            device,
            runtime=self.runtime,
        )

    def prepare(self, request: Request) -> Arrays:
        """Decode the images of a request."""
        images = self._decode(request["INPUT0"][:, 0].tolist(), "INPUT0")
        pixels = [image.ravel() for image in images]
        return {
            "pixels": np.concatenate(pixels) if pixels else np.zeros(0, np.float32),
            "shape": np.array([image.shape for image in images], np.int64).reshape(-1, 2),
        }

    def forward(self, batch: Batch) -> Mapping[str, Any]:
        """Classify the images of a batch, those of one size together, in parts of limited size."""
        shapes = batch["shape"]
        scores = np.zeros((len(shapes), len(CLASSES)), np.float32)
        for numbers, images in _by_size(batch["pixels"], shapes):
            step = max(1, _FORWARD // images[0].size)
            for first in range(0, len(images), step):
                part = slice(first, first + step)
                scores[numbers[part]] = _softmax(self._logits(images[part]))
        return {"SCORES": scores}

    def _logits(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        logits = self._network(images)[0]
        if logits.shape != (len(images), len(CLASSES)):
            raise PipelineError(
                f"the network returns {list(logits.shape)} for {len(images)} images; it must "
                f"return {len(CLASSES)} logits for each"
            )
        if not np.isfinite(logits).all():
            raise PipelineError("the network's logits are not finite")
        return logits.astype(np.float32, copy=False)

    def finish(self, result: Arrays) -> Arrays:
        """Return the name of the best class of each image; the first among equals."""
        names = np.array([name.encode() for name in CLASSES], object)
        return {"OUTPUT0": names[result["SCORES"].argmax(1)], "SCORES": result["SCORES"]}

    def example(self) -> dict[str, Array]:
        """Return a phantom of a hand."""
        from naiad.applications.medical.mednist.phantoms import draw, encode

        return as_request([encode(draw("Hand", np.random.default_rng(0)))])


def _by_size(
    pixels: NDArray[np.float32], shapes: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Yield the images of each size ``[n, 1, width, height]``, and their numbers ``[n]``."""
    sizes: list[list[int]] = shapes.tolist()
    for width, height in sorted({(width, height) for width, height in sizes}):
        numbers = np.array([n for n, size in enumerate(sizes) if size == [width, height]])
        if len(numbers) == len(sizes):  # as nearly always: not copied
            images = pixels
        else:
            every = np.split(pixels, np.cumsum(shapes.prod(1))[:-1])
            images = np.concatenate([every[n] for n in numbers.tolist()])
        yield numbers, images.reshape(len(numbers), 1, width, height)


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _examples() -> Iterator[list[Array]]:
    """Yield batches to compare the network's conversions with it."""
    random = np.random.default_rng(0)
    for images, width, height in ((2, 64, 64), (3, 96, 80)):
        yield [random.random((images, 1, width, height), np.float32)]
