"""Networks that classify images: from prepared images to scores.

ONNX runs in onnxruntime, TorchScript and Naiad's own small network in torch; only the needed
package is imported. Scaling of pixels is here too, as networks expect it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from naiad.applications.image.card import ImageCard, Layout, Preprocessing
from naiad.errors import MissingExtra, PipelineError, WeightsError
from naiad.files import suffix_of
from naiad.onnx_session import open_session
from naiad.torch_model import load_torchscript
from naiad.weights import TENSORS_FILE, check_file, read_tensors

Floats: TypeAlias = NDArray[np.float32]

_GREY = 128.0  # value of the pixels for trying a network
_COLOURS = 3


class Network(Protocol):
    """Function from prepared images to scores: float32 ``[n, ...]`` to ``[n, classes]``, n > 0."""

    def __call__(self, images: Floats) -> Floats:
        """Run the network."""
        ...


class Classifier:
    """A network with its preprocessing: from pixels to probabilities."""

    def __init__(self, network: Network, card: ImageCard, classes: int) -> None:
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


def open_classifier(folder: Path, card: ImageCard, classes: int, device: str) -> Classifier:
    """Load the network of a folder onto ``device`` (``"cpu"``, ``"cuda:0"``).

    Raises:
        WeightsError: the file is missing or damaged, or does not match the card or the classes.
        MissingExtra: the package that runs it is not installed.
    """
    path = folder / card.file
    if card.file == TENSORS_FILE:
        network = _open_small(folder, card.sha256, classes, device)
    else:
        check_file(path, card.sha256)
        network = open_network(path, device)
    try:
        return Classifier(network, card, classes)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error


def open_network(path: Path, device: str = "cpu") -> Network:
    """Load a file: ONNX if its name ends in ``.onnx``, else TorchScript.

    Raises:
        WeightsError: it cannot be loaded, or is not a network from images to scores.
        MissingExtra: the package that runs it is not installed.
    """
    return (
        OnnxNetwork(path, device) if suffix_of(path) == ".onnx" else _open_torchscript(path, device)
    )


def try_out(network: Network, preprocessing: Preprocessing) -> Floats:
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


class OnnxNetwork:
    """A network in ONNX, run by onnxruntime.

    Attributes:
        layout: order of its input's dims, or None if its shape does not tell.
        height, width: of its input in pixels, or None for any.
    """

    def __init__(self, path: Path, device: str = "cpu") -> None:
        """Load the file.

        Raises:
            WeightsError: the file is not ONNX, or not a network from images to scores.
            MissingExtra: onnxruntime is not installed.
        """
        self._session = open_session(path, device)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1:
            raise WeightsError(
                f"{path} has inputs {_names(inputs)} and outputs {_names(outputs)}; a classifier "
                "has one of each: the images and the scores"
            )
        (given,) = inputs
        if given.type != "tensor(float)" or len(given.shape) != 4:
            raise WeightsError(
                f"{path}: its input {given.name} is {given.type} {given.shape}; it must be "
                "tensor(float) with 4 dims: images, colours, height and width"
            )
        self._input = str(given.name)
        sizes = [dim if isinstance(dim, int) and dim > 0 else None for dim in given.shape]
        self._batch = sizes[0]
        self.layout: Layout | None = _layout(sizes)
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
        (scores,) = self._session.run(None, {self._input: images})
        return _rows(scores, len(images))


class _TorchNetwork:
    """A network in torch, on a device."""

    def __init__(self, module: Any, device: str) -> None:
        try:
            import torch
        except ImportError as error:
            raise MissingExtra("image", error.name or "torch") from error
        self._torch = torch
        self._module = module.to(device).eval()
        self._device = device

    def __call__(self, images: Floats) -> Floats:
        with self._torch.inference_mode():
            scores = self._module(self._torch.from_numpy(images).to(self._device))
            if not isinstance(scores, self._torch.Tensor):
                raise PipelineError(f"it returns a {type(scores).__name__}, not one tensor")
            return _rows(scores.float().cpu().numpy(), len(images))


def _open_torchscript(path: Path, device: str) -> Network:
    return _TorchNetwork(load_torchscript(path, device), device)


def _open_small(folder: Path, sha256: str, classes: int, device: str) -> Network:
    from naiad.applications.image.network import ShapeNet

    net = ShapeNet(classes)
    shapes = {name: tensor.shape for name, tensor in net.state_dict().items()}
    net.load_state_dict(read_tensors(folder, shapes, sha256))
    return _TorchNetwork(net, device)


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


def _names(tensors: Any) -> str:
    return ", ".join(str(tensor.name) for tensor in tensors) or "none"


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
