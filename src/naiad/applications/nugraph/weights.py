"""Weights of NuGraph3 as a folder, as :mod:`naiad.weights` has them.

A Lightning checkpoint, which could run code when it is read, is turned into such a folder by
:func:`import_checkpoint`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from naiad.applications.nugraph.arrangement import parameter_shapes
from naiad.applications.nugraph.card import Architecture, Normalisation, NuGraph3Card
from naiad.applications.nugraph.checkpoint import Checkpoint, read_checkpoint
from naiad.card import read_card
from naiad.errors import MissingExtra, WeightsError

try:
    import torch
except ImportError as error:
    raise MissingExtra("nugraph3-train", error.name or "torch") from error

from naiad.applications.nugraph.model import NuGraph3Net
from naiad.weights import check_tensors, read_json, read_tensors

__all__ = [
    "UBOONE_NORMALISATION",
    "Architecture",
    "NuGraph3Card",
    "import_checkpoint",
    "load_weights",
    "save_weights",
]

UBOONE_NORMALISATION = Path(__file__).parent / "data" / "norm_uboone.json"
"""Normalisation of the public checkpoint, which keeps it in its data set and not in itself."""


def load_weights(folder: Path) -> tuple[NuGraph3Net, NuGraph3Card]:
    """Make the network that a folder describes, normalising its input, in evaluation mode.

    Raises:
        WeightsError: a file is missing, is not the one the metadata was written for (by sha256),
            or does not fit the architecture.
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
        checkpoint: file such as ``hierarchical.ckpt``.
        folder: where to write.
        normalisation: JSON file with ``mean`` and ``std`` of each plane's features, which the
            checkpoint does not have; by default those of the public MicroBooNE data set.
        notice: what every user must know of these weights.

    Raises:
        WeightsError: the file is no such checkpoint, asks for code to be run, or is of another
            network.
    """
    found = read_checkpoint(checkpoint)
    try:
        card = _describe(found, checkpoint, normalisation or UBOONE_NORMALISATION, notice)
        # The scalars named temp are parameters of the losses, which inference does not have.
        tensors = {
            name: torch.from_numpy(array)
            for name, array in found.state.items()
            if not name.endswith("_decoder.temp")
        }
        check_tensors(tensors, parameter_shapes(card.architecture), "state_dict")
        net = _network(tensors, card)
    except WeightsError as error:
        raise WeightsError(f"{checkpoint}: {error}") from error
    return save_weights(net, card, folder)


def _describe(found: Checkpoint, path: Path, normalisation: Path, notice: str) -> NuGraph3Card:
    values = found.hyper_parameters
    for head in ("event", "semantic", "filter", "vertex"):
        if values.get(f"{head}_head") is not True:
            raise WeightsError(f"trained without the {head} head, which the service answers with")
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
            "epoch": str(found.epoch),
            "pytorch_lightning": found.lightning,
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
