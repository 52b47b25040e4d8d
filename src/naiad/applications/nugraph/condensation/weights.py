"""Folders of weights of NuGraph3 with object condensation."""

from __future__ import annotations

from pathlib import Path

from naiad.applications.nugraph.condensation.card import CondensationCard
from naiad.applications.nugraph.condensation.model import CondensationNet
from naiad.card import read_card
from naiad.weights import read_tensors


def load_weights(folder: Path) -> tuple[CondensationNet, CondensationCard]:
    """Make the network that a folder describes, normalising its input, in evaluation mode.

    Raises:
        WeightsError: a file is missing, does not match the card's sha256, or does not fit the
            architecture.
    """
    card = read_card(folder, CondensationCard)
    net = CondensationNet(card.architecture, card.heads)
    shapes = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
    net.load_state_dict(read_tensors(folder, shapes, card.sha256))
    net.set_normalisation(card.mean, card.var)
    return net.eval(), card
