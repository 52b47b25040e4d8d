"""Folders of NuGraph3 weights, in the form of :mod:`naiad.weights`.

:func:`import_checkpoint` turns a Lightning checkpoint, which could run code when read, into such a
folder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from naiad.applications.nugraph.arrangement import parameter_shapes
from naiad.applications.nugraph.card import Architecture, Normalisation, NuGraph3Card
from naiad.card import read_card
from naiad.errors import MissingExtra, WeightsError

try:
    import torch
except ImportError as error:
    raise MissingExtra("nugraph3-train", error.name or "torch") from error

from naiad.applications.nugraph.model import NuGraph3Net
from naiad.weights import (
    check_tensors,
    read_checkpoint,
    read_json,
    read_tensors,
    state_dict_of,
)

__all__ = [
    "UBOONE_NORMALISATION",
    "Architecture",
    "NuGraph3Card",
    "import_checkpoint",
    "load_weights",
    "save_weights",
]

UBOONE_NORMALISATION = Path(__file__).parent / "data" / "norm_uboone.json"
"""Normalisation of the public checkpoint, which stores it in its data set."""

# Called by the schedule of the learning rate, which is in a checkpoint too.
_IGNORED = ("builtins.getattr", "torch.optim.lr_scheduler.OneCycleLR")


def load_weights(folder: Path) -> tuple[NuGraph3Net, NuGraph3Card]:
    """Make the network that a folder describes, normalising its input, in evaluation mode.

    Raises:
        WeightsError: a file is missing, does not match the card's sha256, or does not fit the
            architecture.
    """
    card = read_card(folder, NuGraph3Card)
    tensors = read_tensors(folder, parameter_shapes(card.architecture), card.sha256)
    return _network(tensors, card).eval(), card


def save_weights(net: NuGraph3Net, card: NuGraph3Card, folder: Path) -> NuGraph3Card:
    """Write a network to a folder, creating it if needed; return the card as written.

    Raises:
        WeightsError: the card describes another architecture.
    """
    if net.arch != card.architecture:
        raise WeightsError(f"the network is {net.arch}; its card has {card.architecture}")
    return card.save_with(net, folder)


def import_checkpoint(
    checkpoint: Path, folder: Path, *, normalisation: Path | None = None, notice: str = ""
) -> NuGraph3Card:
    """Turn a Lightning checkpoint of the original NuGraph3 into a folder of weights.

    Args:
        checkpoint: a file such as ``hierarchical.ckpt``.
        folder: where to write.
        normalisation: JSON file with ``mean`` and ``std`` of each plane's features, which the
            checkpoint lacks; by default those of the public MicroBooNE data set.
        notice: what every user of the weights must know.

    Raises:
        WeightsError: the file is not such a checkpoint, asks to run code, or is of another network.
    """
    try:
        found = read_checkpoint(checkpoint, _IGNORED)
        if not isinstance(found, dict) or not isinstance(found.get("hyper_parameters"), dict):
            raise WeightsError("not a Lightning checkpoint: it has no hyper_parameters")
        card = _describe(found, checkpoint, normalisation or UBOONE_NORMALISATION, notice)
        # The scalars named temp are parameters of the losses, which inference does not have.
        tensors = {
            name: tensor.float()
            for name, tensor in state_dict_of(found).items()
            if not name.endswith("_decoder.temp")
        }
        check_tensors(tensors, parameter_shapes(card.architecture), "state_dict")
        net = _network(tensors, card)
    except WeightsError as error:
        raise WeightsError(f"{checkpoint}: {error}") from error
    return save_weights(net, card, folder)


def _describe(
    found: Mapping[str, Any], path: Path, normalisation: Path, notice: str
) -> NuGraph3Card:
    values = found["hyper_parameters"]
    for head in ("event", "semantic", "filter", "vertex"):
        if values.get(f"{head}_head") is not True:
            raise WeightsError(f"trained without the {head} head, which the service needs")
    semantic = _names(values, "semantic_classes")
    event = _names(values, "event_classes")
    sizes = ("in_features", "planar_features", "nexus_features", "interaction_features")
    constants = read_json(normalisation, Normalisation)
    return NuGraph3Card(
        architecture=Architecture(
            planes=_names(values, "planes"),
            semantic_classes=len(semantic),
            event_classes=len(event),
            **{name: values.get(name, 0) for name in (*sizes, "num_iters")},
        ),
        semantic_classes=semantic,
        event_classes=event,
        mean=constants.mean,
        std=constants.std,
        notice=notice,
        provenance={
            "checkpoint": path.name,
            "checkpoint_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "epoch": str(found.get("epoch", -1)),
            "pytorch_lightning": str(found.get("pytorch-lightning_version", "")),
            "normalisation": normalisation.name,
        },
    )


def _names(values: Mapping[str, Any], key: str) -> tuple[str, ...]:
    names = values.get(key)
    if not isinstance(names, Sequence) or not all(
        isinstance(name, str) for name in cast(Sequence[Any], names)
    ):
        raise WeightsError(f"hyper-parameter {key} is {names!r}; it must be a list of names")
    return tuple(cast(Sequence[str], names))


def _network(tensors: Mapping[str, torch.Tensor], card: NuGraph3Card) -> NuGraph3Net:
    net = NuGraph3Net(card.architecture)
    net.load_state_dict(dict(tensors))
    net.set_normalisation(card.mean, card.std)
    return net
