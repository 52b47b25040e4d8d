"""The folder of an image classifier: the network, its labels and its card.

::

    my-classifier/model.onnx       the network; or model.pt (TorchScript), or weights.safetensors
                                   (the small network that comes with Naiad)
    my-classifier/labels.txt       one label per line, in the order of the network's classes
    my-classifier/weights.json     the card, :class:`ImageCard`

``naiad weights import image`` makes such a folder from a network and a list of labels. Nothing here
needs torch, onnxruntime or Pillow.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from naiad.card import ModelCard, read_card
from naiad.errors import WeightsError
from naiad.weights import TENSORS_FILE, read_text

LABELS_FILE: Final = "labels.txt"
MODEL_FILES: Final = ("model.onnx", "model.pt", TENSORS_FILE)

Layout = Literal["NHWC", "NCHW"]
Output = Literal["logits", "probabilities"]

_LARGEST_SIDE: Final = 4096


class Scaling(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The subtrahend and the divisor of pixels from 0 to 255, per colour (red, green, blue).

    Raises:
        WeightsError: they are not three finite numbers each, or a divisor is not above 0.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __post_init__(self) -> None:
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != 3 or not all(abs(value) < float("inf") for value in values):
                raise WeightsError(f"{name} is {list(values)}; it must be three finite numbers")
        if min(self.std) <= 0:
            raise WeightsError(f"std is {list(self.std)}; all must be above 0")


SCALINGS: Final[Mapping[str, Scaling]] = {
    "inception": Scaling((127.5, 127.5, 127.5), (127.5, 127.5, 127.5)),
    "imagenet": Scaling((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    "unit": Scaling((0, 0, 0), (255, 255, 255)),
    "vgg": Scaling((123, 117, 104), (1, 1, 1)),
    "none": Scaling((0, 0, 0), (1, 1, 1)),
}
"""Scalings by their usual names: to -1 to 1; by the mean and standard deviation of ImageNet's
pixels, as torchvision's networks expect; to 0 to 1; minus ImageNet's mean; none."""


class Preprocessing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The way from a picture to the network's input.

    Attributes:
        height, width: in pixels.
        layout: order of the input's dims, N being the images and C the colours.
        scaling: of the pixels.
        crop: None to squeeze the whole picture into the input's shape; else the used fraction of
            the largest central window of that shape (0.875 where a network was tested on 224 pixels
            from the middle of 256).

    Raises:
        WeightsError: a value is out of range; says which values are allowed.
    """

    height: int
    width: int
    layout: Layout = "NCHW"
    scaling: Scaling = SCALINGS["inception"]
    crop: float | None = None

    def __post_init__(self) -> None:
        for name, size in (("height", self.height), ("width", self.width)):
            if type(size) is not int or not 1 <= size <= _LARGEST_SIDE:
                raise WeightsError(f"{name} is {size!r}; it must be 1 to {_LARGEST_SIDE} pixels")
        if self.layout not in ("NHWC", "NCHW"):
            raise WeightsError(f"layout is {self.layout!r}; it must be NHWC or NCHW")
        if self.crop is not None and not 0 < self.crop <= 1:
            raise WeightsError(f"crop is {self.crop!r}; it must be above 0 and at most 1")


class ImageCard(ModelCard, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Description of a classifier, apart from its labels.

    Attributes:
        file: the network's file in the folder.
        preprocessing: of its input.
        output: kind of its scores; a softmax turns logits into probabilities.
        metrics: measured quality, by name.

    Raises:
        WeightsError: the file's name or the output is unknown.
    """

    file: str
    preprocessing: Preprocessing
    output: Output = "logits"
    metrics: Mapping[str, Any] = {}

    def __post_init__(self) -> None:
        if self.file not in MODEL_FILES:
            raise WeightsError(f"file is {self.file!r}; it must be {', '.join(MODEL_FILES)}")
        if self.output not in ("logits", "probabilities"):
            raise WeightsError(f"output is {self.output!r}; it must be logits or probabilities")


def read_folder(folder: Path) -> tuple[ImageCard, tuple[str, ...]]:
    """Read the card and the labels of a folder.

    Raises:
        WeightsError: something is missing or wrong; says what, and how to make such a folder.
    """
    if not folder.is_dir():
        raise WeightsError(
            f"{folder} is not a folder with an image classifier; "
            "`naiad weights import image` makes one from a network and its labels"
        )
    return read_card(folder, ImageCard), read_labels(folder / LABELS_FILE)


def read_labels(path: Path) -> tuple[str, ...]:
    """Read labels from a file, one per line, without empty lines at its end.

    Raises:
        WeightsError: the file cannot be read or has no labels, or a line between others is empty.
    """
    labels = tuple(line.strip() for line in read_text(path).rstrip().splitlines())
    if not labels:
        raise WeightsError(f"{path} has no labels")
    if "" in labels:
        raise WeightsError(f"{path}, line {labels.index('') + 1} is empty; it must be a label")
    return labels
