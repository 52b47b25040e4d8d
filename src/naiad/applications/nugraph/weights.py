"""Folders of weights of NuGraph networks, in the form of :mod:`naiad.weights`.

:func:`import_checkpoint` turns a Lightning checkpoint, which could run code when read, into such a
folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from naiad.applications.nugraph.arrangement import parameter_shapes
from naiad.applications.nugraph.card import (
    Architecture,
    NuGraph2Card,
    NuGraph3Card,
    NuGraphCard,
    read_card_of,
)
from naiad.applications.nugraph.checkpoints import (
    UBOONE_NORMALISATION,
    generation_of,
    network,
    read,
)
from naiad.applications.nugraph.model import NuGraph3Net
from naiad.applications.nugraph.nugraph2_arrangement import parameter_shapes as nugraph2_shapes
from naiad.applications.nugraph.nugraph2_model import NuGraph2Net
from naiad.card import ModelCard
from naiad.errors import WeightsError
from naiad.weights import read_tensors

__all__ = [
    "UBOONE_NORMALISATION",
    "Architecture",
    "NuGraph2Card",
    "NuGraph3Card",
    "import_checkpoint",
    "load_nugraph2",
    "load_weights",
    "save_weights",
]

Card = TypeVar("Card", bound=NuGraphCard)


def load_weights(folder: Path) -> tuple[NuGraph3Net, NuGraph3Card]:
    """Make the NuGraph3 that a folder describes, normalising its input, in evaluation mode.

    Raises:
        WeightsError: a file is missing, does not match the card's sha256, or does not fit the
            architecture; or they are weights of another network.
    """
    card = read_card_of(folder, NuGraph3Card)
    tensors = read_tensors(folder, parameter_shapes(card.architecture), card.sha256)
    return network(NuGraph3Net(card.architecture), tensors, card).eval(), card


def load_nugraph2(folder: Path) -> tuple[NuGraph2Net, NuGraph2Card]:
    """Make the NuGraph2 that a folder describes, as :func:`load_weights` does.

    Raises:
        WeightsError: as :func:`load_weights`.
    """
    card = read_card_of(folder, NuGraph2Card)
    tensors = read_tensors(folder, nugraph2_shapes(card.architecture), card.sha256)
    return network(NuGraph2Net(card.architecture), tensors, card).eval(), card


def save_weights(net: NuGraph2Net | NuGraph3Net, card: Card, folder: Path) -> Card:
    """Write a network to a folder, creating it if needed; return the card as written.

    Raises:
        WeightsError: the card describes another architecture.
    """
    if net.arch != card.sizes:
        raise WeightsError(f"the network is {net.arch}; its card has {card.sizes}")
    return card.save_with(net, folder)


def import_checkpoint(
    checkpoint: Path, folder: Path, *, normalisation: Path | None = None, notice: str = ""
) -> ModelCard:
    """Turn a Lightning checkpoint of NuGraph2 or NuGraph3 into a folder of weights.

    Which of them it is follows from the names of its tensors; sizes, too, are those of the
    checkpoint.

    Args:
        checkpoint: a file such as ``hierarchical.ckpt``.
        folder: where to write.
        normalisation: JSON file with ``mean`` and ``std`` of each plane's features, which these
            checkpoints lack; by default those of the public MicroBooNE data set.
        notice: what every user of the weights must know.

    Returns:
        The card of the weights, whose class is that of the network.

    Raises:
        WeightsError: the file is not such a checkpoint, asks to run code, or is of another network.
    """
    try:
        found = read(checkpoint)
        net, card = generation_of(found).make(found, normalisation, notice)
    except WeightsError as error:
        raise WeightsError(f"{checkpoint}: {error}") from error
    return card.save_with(net, folder)


def summary(card: ModelCard) -> str:
    """Return a line on the network of a card: its kind, its classes and its sizes."""
    facts = msgspec.to_builtins(card)
    classes = [
        f"{kind.removesuffix('_classes')} classes {', '.join(facts[kind])}"
        for kind in ("semantic_classes", "event_classes")
        if facts.get(kind)
    ]
    if heads := facts.get("heads"):
        classes.append(f"heads {', '.join(heads)}")
    title = getattr(card, "title", type(card).__name__)
    sizes = facts["architecture"]
    width = sizes.get("planar_features") or sizes["hit_features"]
    return (
        f"{title}: {'; '.join(classes)}; {width} features of hits, {sizes['num_iters']} iterations"
    )
