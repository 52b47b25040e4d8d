"""A folder with an image classifier: the network, its labels, and how pictures are prepared for it.

::

    my-classifier/model.onnx       the network; or model.pt (TorchScript), or weights.safetensors
                                   (the small network that comes with Naiad)
    my-classifier/labels.txt       one label per line, in the order of the network's classes
    my-classifier/weights.json     what is known: :class:`Facts`

``naiad weights import image`` makes such a folder from a network and a list of labels. Nothing here
needs torch, onnxruntime or Pillow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, cast

from naiad.errors import WeightsError
from naiad.weights import FACTS_FILE, TENSORS_FILE, facts_from_json, facts_to_json, read_facts

LABELS_FILE: Final = "labels.txt"
MODEL_FILES: Final = ("model.onnx", "model.pt", TENSORS_FILE)

Layout = Literal["NHWC", "NCHW"]
Output = Literal["logits", "probabilities"]

_LARGEST_SIDE: Final = 4096


@dataclass(frozen=True, slots=True)
class Scaling:
    """Per colour (red, green, blue), what is taken from a pixel of 0 to 255 and divides the rest.

    Raises:
        WeightsError: not three finite numbers each, or one to divide by is not above 0.
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
"""Scalings by the names people know them by: to -1 to 1; by the mean and standard deviation of
ImageNet's pixels, as torchvision's networks want it; to 0 to 1; less ImageNet's mean; none."""


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a picture becomes the network's input.

    Attributes:
        height, width: in pixels.
        layout: order of the input's dims, N being the images and C the colours.
        scaling: of the pixels.
        crop: None to squeeze the whole picture into the input's shape; else the part of the
            largest central window of that shape that is used (0.875 where a network was tested on
            224 pixels from the middle of 256).

    Raises:
        WeightsError: a value makes no sense; says which and what would.
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


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything about a classifier but its parameters and its labels: ``weights.json``.

    Attributes:
        file: the network's file in the folder.
        sha256: of that file.
        preprocessing: what it takes.
        output: what it gives; probabilities are made of logits by a softmax.
        notice: what every user must know of it.
        provenance: where it comes from, in free words.
        metrics: how good it is, by name.

    Raises:
        WeightsError: no such file is known, or output is neither.
    """

    file: str
    sha256: str
    preprocessing: Preprocessing
    output: Output = "logits"
    notice: str = ""
    provenance: Mapping[str, str] = field(default_factory=dict[str, str])
    metrics: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        if self.file not in MODEL_FILES:
            raise WeightsError(f"file is {self.file!r}; it must be {', '.join(MODEL_FILES)}")
        if self.output not in ("logits", "probabilities"):
            raise WeightsError(f"output is {self.output!r}; it must be logits or probabilities")

    def to_json(self) -> str:
        """The text of ``weights.json``."""
        return facts_to_json(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Facts:
        """Read what :meth:`to_json` wrote.

        Raises:
            WeightsError: the text is something else.
        """
        try:
            values = facts_from_json(text)
            preprocessing = cast(dict[str, Any], values.pop("preprocessing"))
            scaling = cast(dict[str, Any], preprocessing.pop("scaling"))
            return cls(
                preprocessing=Preprocessing(
                    scaling=Scaling(_three(scaling.pop("mean")), _three(scaling.pop("std"))),
                    **preprocessing,
                ),
                **values,
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise WeightsError(
                f"not the facts of an image classifier ({type(error).__name__}: {error})"
            ) from error


def read_folder(folder: Path) -> tuple[Facts, tuple[str, ...]]:
    """The facts and the labels of a folder.

    Raises:
        WeightsError: it is no such folder; says what is missing or wrong, and what makes one.
    """
    if not folder.is_dir():
        raise WeightsError(
            f"{folder} is no folder with an image classifier; "
            "`naiad weights import image` makes one from a network and its labels"
        )
    path = folder / FACTS_FILE
    try:
        facts = Facts.from_json(read_facts(path))
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    return facts, read_labels(folder / LABELS_FILE)


def read_labels(path: Path) -> tuple[str, ...]:
    """The labels in a file, one per line; empty lines at its end are left out.

    Raises:
        WeightsError: it cannot be read, holds none, or a line between others is empty.
    """
    try:
        text = read_facts(path)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    labels = tuple(line.strip() for line in text.rstrip().splitlines())
    if not labels:
        raise WeightsError(f"{path} holds no label")
    if "" in labels:
        raise WeightsError(f"{path}, line {labels.index('') + 1} is empty; it must be a label")
    return labels


def _three(values: Any) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue
