"""From a network and a list of labels to a folder that Naiad serves."""

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
    Network,
    OnnxNetwork,
    open_network,
    try_out,
)
from naiad.errors import WeightsError
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
    """Make a folder of a network's file and its labels; it is tried before anything is kept.

    Args:
        network: ONNX or TorchScript: one input, the images; one output, a score per class.
        labels: text, one label per line, in the order of the classes.
        folder: where to write; made if need be.
        scaling: of pixels, as the network was trained.
        size: height and width in pixels, where the file does not tell.
        layout: of the input, where the file does not tell; TorchScript's is NCHW by default.
        crop: as of :class:`Preprocessing`.
        notice: what every user must know of it.

    Raises:
        WeightsError: the file cannot be run, contradicts what is said of it, or has another number
            of classes than there are labels.
        MissingExtra: what runs it is not installed.
    """
    name = _NAMES.get(network.suffix)
    if name is None:
        raise WeightsError(
            f"{network}: a network is an .onnx file, or .pt written by torch.jit.save"
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
    network: Network,
    scaling: Scaling,
    size: tuple[int, int] | None,
    layout: Layout | None,
    crop: float | None,
) -> Preprocessing:
    """What the file tells, filled up with what was said; where both speak, they must agree."""
    known = network if isinstance(network, OnnxNetwork) else None
    if known is None and layout is None:
        layout = "NCHW"
    height, width = size or (None, None)
    return Preprocessing(
        _agreed(path, "height", "--size", known and known.height, height),
        _agreed(path, "width", "--size", known and known.width, width),
        _agreed(path, "layout", "--layout", known and known.layout, layout),
        scaling,
        crop,
    )


def _agreed(path: Path, what: str, option: str, told: T | None, said: T | None) -> T:
    if told is not None and said is not None and told != said:
        raise WeightsError(f"{path}: the {what} of its input is {told}, not {said}")
    if told is None and said is None:
        raise WeightsError(f"{path} does not tell the {what} of its input; give {option}")
    return cast(T, said if told is None else told)


def _output(scores: Floats) -> Output:
    """Scores that are no less than 0 and add up to 1 are probabilities; logits never do that."""
    sums = scores.sum(axis=1)
    adds_up = bool(np.allclose(sums, 1, atol=1e-3) and scores.min() >= 0)
    return "probabilities" if adds_up else "logits"
