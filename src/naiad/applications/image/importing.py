"""Conversion of a network and its labels into a folder that Naiad serves."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final, TypeVar, cast

import numpy as np

from naiad.applications.image.card import (
    LABELS_FILE,
    ImageCard,
    Layout,
    Output,
    Preprocessing,
    Scaling,
    read_labels,
)
from naiad.applications.image.networks import (
    Floats,
    ImageNetwork,
    open_network,
    try_out,
)
from naiad.errors import WeightsError
from naiad.files import suffix_of
from naiad.weights import file_sha256

T = TypeVar("T")

_NAMES: Final = {".onnx": "model.onnx", ".pt": "model.pt", ".pth": "model.pt", ".ts": "model.pt"}


def import_network(
    network: Path,
    labels: Path,
    folder: Path,
    *,
    scaling: Scaling,
    size: tuple[int, int] | None = None,
    layout: Layout | None = None,
    crop: float | None = None,
    notice: str = "",
) -> tuple[ImageCard, tuple[str, ...]]:
    """Convert a network's file and its labels to a folder; try the network before writing anything.

    Args:
        network: ONNX or TorchScript: one input, the images; one output, a score per class.
        labels: text, one label per line, in the order of the classes.
        folder: the folder to write, created if needed.
        scaling: of pixels, as in training.
        size: height and width in pixels, if the file does not tell.
        layout: of the input, if the file does not tell; TorchScript's is NCHW by default.
        crop: as in :class:`Preprocessing`.
        notice: what every user must know of it.

    Raises:
        WeightsError: the file cannot be run, contradicts an argument, or the number of its classes
            is not that of the labels.
        MissingExtra: a package that runs it is not installed.
    """
    name = _NAMES.get(suffix_of(network))
    if name is None:
        raise WeightsError(
            f"{network}: it must be an .onnx file, or a .pt file written by torch.jit.save"
        )
    if not network.is_file():
        raise WeightsError(f"{network}: no such file")
    names = read_labels(labels)
    loaded = open_network(network)
    preprocessing = _preprocessing(network, loaded, scaling, size, layout, crop)
    try:
        scores = try_out(loaded, preprocessing)
        if scores.shape[1] != len(names):
            raise WeightsError(
                f"the network has {scores.shape[1]:,} classes, but {labels} has {len(names):,} "
                "labels"
            )
    except WeightsError as error:
        raise WeightsError(f"{network}: {error}") from error
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(network, folder / name)
    (folder / LABELS_FILE).write_text("".join(f"{label}\n" for label in names), "utf-8")
    card = ImageCard(
        file=name,
        sha256=file_sha256(folder / name),
        preprocessing=preprocessing,
        output=_output(scores),
        notice=notice,
        provenance={"file": network.name},
    )
    card.save(folder)
    return card, names


def _preprocessing(
    path: Path,
    network: ImageNetwork,
    scaling: Scaling,
    size: tuple[int, int] | None,
    layout: Layout | None,
    crop: float | None,
) -> Preprocessing:
    """Combine the file's shape with the arguments, which must agree."""
    if not network.told and layout is None:
        layout = "NCHW"
    height, width = size or (None, None)
    return Preprocessing(
        _agreed(path, "height", "--size", network.height, height),
        _agreed(path, "width", "--size", network.width, width),
        _agreed(path, "layout", "--layout", network.layout, layout),
        scaling,
        crop,
    )


def _agreed(path: Path, what: str, option: str, told: T | None, said: T | None) -> T:
    if told is not None and said is not None and told != said:
        raise WeightsError(f"{path}: the {what} of its input is {told}, not {said}")
    if told is None and said is None:
        raise WeightsError(f"{path} does not state the {what} of its input; give {option}")
    return cast(T, said if told is None else told)


def _output(scores: Floats) -> Output:
    """Return the kind of scores: probabilities are at least 0 and add up to 1; logits never do."""
    sums = scores.sum(axis=1)
    adds_up = bool(np.allclose(sums, 1, atol=1e-3) and scores.min() >= 0)
    return "probabilities" if adds_up else "logits"
