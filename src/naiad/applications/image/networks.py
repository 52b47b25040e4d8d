"""Networks that classify images: from prepared images to scores.

A file is run by its own library, or by that of the setting ``runtime``; only the needed package is
imported. Scaling of pixels is here too, as networks expect it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from naiad.applications.image.card import ImageCard, Layout, Preprocessing
from naiad.core.schema import Array
from naiad.core.settings import Runtime
from naiad.errors import PipelineError, WeightsError
from naiad.files import suffix_of
from naiad.networks.network import Network, Port
from naiad.networks.opening import open_file, open_module
from naiad.weights import TENSORS_FILE, check_file, read_tensors

Floats: TypeAlias = NDArray[np.float32]

_GREY = 128.0  # value of the pixels for trying a network
_COLOURS = 3


class Classifier:
    """A network with its preprocessing: from pixels to probabilities."""

    def __init__(self, network: ImageNetwork, card: ImageCard, classes: int) -> None:
        """Wrap a network and try it once.

        Raises:
            WeightsError: it fails on such images, or has another number of classes.
        """
        self.card = card
        self.classes = classes
        self._network = network
        found = try_out(network, card.preprocessing).shape[1]
        if found != classes:
            raise WeightsError(f"the network has {found:,} classes, but there are {classes} labels")

    def __call__(self, pixels: NDArray[Any]) -> Floats:
        """Compute the probabilities of images, float32 ``[n, classes]``.

        ``pixels`` are 0 to 255, ``[n, height, width, 3]``.

        Raises:
            PipelineError: the network's scores are not finite.
        """
        if not len(pixels):
            return np.zeros((0, self.classes), np.float32)
        scores = self._network(scaled(pixels, self.card.preprocessing))
        if not np.isfinite(scores).all():
            raise PipelineError("the network's scores are not finite")
        return softmax(scores) if self.card.output == "logits" else scores


def open_classifier(
    folder: Path,
    card: ImageCard,
    classes: int,
    device: str,
    *,
    runtime: Runtime | None = None,
) -> Classifier:
    """Load the network of a folder onto ``device`` (``"cpu"``, ``"cuda:0"``).

    ``runtime`` is the library that runs it, by default that of the file.

    Raises:
        WeightsError: the file is missing or damaged, or does not match the card or the classes.
        MissingExtra: the package that runs it is not installed.
    """
    path = folder / card.file
    examples = _examples(card.preprocessing)
    if card.file == TENSORS_FILE:
        module = _small(folder, card.sha256, classes)
        opened = open_module(module, examples, device, runtime=runtime)
    else:
        check_file(path, card.sha256)
        opened = open_file(path, examples, device, runtime=runtime)
    network = ImageNetwork(opened, path)
    try:
        return Classifier(network, card, classes)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error


def open_network(path: Path) -> ImageNetwork:
    """Load a file onto the CPU: ONNX if its name ends in ``.onnx``, else TorchScript.

    Raises:
        WeightsError: it cannot be loaded, or is not a network from images to scores.
        MissingExtra: the package that runs it is not installed.
    """
    return ImageNetwork(open_file(path, ()), path)


def try_out(network: ImageNetwork, preprocessing: Preprocessing) -> Floats:
    """Return a network's scores of two grey images, float32 ``[2, classes]``.

    Raises:
        WeightsError: it fails on them, or does not return one row of numbers per image.
    """
    height, width = preprocessing.height, preprocessing.width
    grey = np.full((2, height, width, _COLOURS), _GREY, np.float32)
    images = scaled(grey, preprocessing)
    try:
        scores = network(images)
    except Exception as error:  # torch's and onnxruntime's own
        shape = f"{list(images.shape)} ({preprocessing.layout})"
        raise WeightsError(
            f"the network does not run on images of shape {shape}: {_first_line(error)}"
        ) from error
    if scores.ndim != 2 or len(scores) != len(images) or not scores.shape[1]:
        raise WeightsError(
            f"the network returns numbers of shape {list(scores.shape)} for {len(images)} images; "
            "it must return one row of scores for each"
        )
    return scores


def scaled(pixels: NDArray[Any], preprocessing: Preprocessing) -> Floats:
    """Scale pixels of 0 to 255, ``[n, height, width, 3]``, and lay them out for a network."""
    scaling = preprocessing.scaling
    images = pixels.astype(np.float32)
    images -= np.array(scaling.mean, np.float32)
    images *= 1 / np.array(scaling.std, np.float32)
    if preprocessing.layout == "NHWC":
        return images
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def softmax(logits: Floats) -> Floats:
    """Compute the softmax of each row."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


class ImageNetwork:
    """A network from images to scores, whichever library runs it.

    Attributes:
        layout: order of its input's dims, or None if the file does not tell.
        height, width: of its input in pixels, or None for any.
        told: the file has the shape of its input, which TorchScript has not.
    """

    def __init__(self, network: Network, path: Path) -> None:
        """Take the network of ``path``.

        Raises:
            WeightsError: its file says that it is not a network from images to scores.
        """
        self._network = network
        self._batch: int | None = None
        self.layout: Layout | None = None
        self.height = self.width = None
        self.told = bool(network.inputs) and suffix_of(path) == ".onnx"
        if not self.told:
            return
        if len(network.inputs) != 1 or len(network.outputs) != 1:
            raise WeightsError(
                f"{path} has inputs {_names(network.inputs)} and outputs "
                f"{_names(network.outputs)}; a classifier has one of each: the images and the "
                "scores"
            )
        (given,) = network.inputs
        if given.dtype != "FP32" or given.shape is None or len(given.shape) != 4:
            raise WeightsError(
                f"{path}: its input {given.name} is {given.dtype} {list(given.shape or ())}; it "
                "must be FP32 with 4 dims: images, colours, height and width"
            )
        sizes = [size if size > 0 else None for size in given.shape]
        self._batch = sizes[0]
        self.layout = _layout(sizes)
        places = {"NHWC": sizes[1:3], "NCHW": sizes[2:4], None: (None, None)}
        self.height, self.width = places[self.layout]

    def __call__(self, images: Floats) -> Floats:
        """Run the network, several times if its number of images is fixed."""
        if self._batch is None:
            return self._run(images)
        # Padded with any image, as each image's scores are its own.
        rows = [
            self._run(np.resize(part, (self._batch, *part.shape[1:])))[: len(part)]
            for part in np.split(images, range(self._batch, len(images), self._batch))
        ]
        return np.concatenate(rows)

    def _run(self, images: Floats) -> Floats:
        found = self._network(images)
        if len(found) != 1:
            raise PipelineError(f"it returns {len(found)} tensors, not one")
        return _rows(found[0], len(images))


def _small(folder: Path, sha256: str, classes: int) -> Any:
    from naiad.applications.image.network import ShapeNet

    net = ShapeNet(classes)
    shapes = {name: tensor.shape for name, tensor in net.state_dict().items()}
    net.load_state_dict(read_tensors(folder, shapes, sha256))
    return net


def _examples(preprocessing: Preprocessing) -> Iterator[list[Array]]:
    """Yield batches of noise, to compare the network's conversions with it."""
    random = np.random.default_rng(0)
    size = preprocessing.height, preprocessing.width
    for images in (2, 3):
        pixels = random.uniform(0, 255, (images, *size, _COLOURS)).astype(np.float32)
        yield [scaled(pixels, preprocessing)]


def _layout(sizes: list[int | None]) -> Layout | None:
    if sizes[1] == _COLOURS:
        return "NCHW"
    return "NHWC" if sizes[3] == _COLOURS else None


def _rows(scores: Any, images: int) -> Floats:
    """Return scores without the dims of 1 that some networks have after the classes."""
    scores = np.asarray(scores, np.float32)
    if scores.ndim > 2 and scores.size == images * scores.shape[1]:
        return scores.reshape(images, -1)
    return scores


def _names(ports: tuple[Port, ...]) -> str:
    return ", ".join(port.name for port in ports) or "none"


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
