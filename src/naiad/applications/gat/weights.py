"""Folders of weights (:mod:`naiad.weights`) of a graph attention network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from naiad.applications.gat.card import Architecture, GatCard
from naiad.card import read_card
from naiad.errors import MissingExtra, WeightsError
from naiad.weights import check_tensors, read_state_dict, read_tensors

try:
    import torch
except ImportError as error:
    raise MissingExtra("gat", error.name or "torch") from error

from naiad.applications.gat.model import GatNet

_LAYER: Final = ("att_src", "att_dst", "bias", "lin.weight")
# In PyTorch Geometric before 2.6, the shared transformation had another name.
_FORMER: Final = {"lin_src.weight": "lin.weight"}


def load_weights(folder: Path) -> tuple[GatNet, GatCard]:
    """Load the network in a folder, in evaluation mode.

    Raises:
        WeightsError: a file is missing, does not match the card's sha256, or does not fit the
            architecture.
    """
    card = read_card(folder, GatCard)
    tensors = read_tensors(folder, _shapes(card.architecture), card.sha256)
    net = GatNet(card.architecture)
    net.load_state_dict(tensors)
    return net.eval(), card


def network(folder: Path) -> GatNet:
    """Load the network alone; as :func:`load_weights`."""
    return load_weights(folder)[0]


def import_checkpoint(
    checkpoint: Path,
    folder: Path,
    *,
    classes: tuple[str, ...],
    row_normalised: bool = True,
    notice: str = "",
) -> GatCard:
    """Turn a PyTorch checkpoint of two ``GATConv`` layers into a folder of weights.

    Args:
        checkpoint: file of ``torch.save(model.state_dict(), ...)``, read with
            ``weights_only=True``: nothing in it is run.
        folder: where to write.
        classes: the name of each class, in order.
        row_normalised: whether features were scaled to sum to 1 per row in training.
        notice: what every user of the weights must know.

    Raises:
        WeightsError: the file is not such a checkpoint.
    """
    try:
        tensors = _two_layers(read_state_dict(checkpoint))
        architecture = _architecture(tensors)
        check_tensors(tensors, _shapes(architecture), "state_dict")
        card = GatCard(
            architecture=architecture,
            classes=classes,
            trained_on="unknown: imported",
            row_normalised=row_normalised,
            notice=notice,
            provenance={"checkpoint": checkpoint.name},
        )
    except WeightsError as error:
        raise WeightsError(f"{checkpoint}: {error}") from error
    net = GatNet(architecture)
    net.load_state_dict(tensors)
    return card.save_with(net, folder)


def _shapes(architecture: Architecture) -> dict[str, torch.Size]:
    """Return the shape of each parameter, allocating nothing."""
    with torch.device("meta"):
        state = GatNet(architecture).state_dict()
    return {name: tensor.shape for name, tensor in state.items()}


def _two_layers(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Rename the tensors as in :class:`GatNet`, whatever the layers' names."""
    layers = [name.removesuffix("att_src") for name in state if name.endswith("att_src")]
    if len(layers) != 2:
        raise WeightsError(f"{len(layers)} GATConv layers; this network has 2")
    renamed: dict[str, torch.Tensor] = {}
    for name, tensor in state.items():
        layer = next((prefix for prefix in layers if name.startswith(prefix)), None)
        rest = name.removeprefix(layer or "")
        rest = _FORMER.get(rest, rest)
        if layer is None or rest not in _LAYER:
            raise WeightsError(f"{name} does not belong to a network of two plain GATConv layers")
        renamed[f"conv{layers.index(layer) + 1}.{rest}"] = tensor.float()
    return renamed


def _architecture(tensors: Mapping[str, torch.Tensor]) -> Architecture:
    try:
        _, heads, hidden = tensors["conv1.att_src"].shape
        _, out_heads, classes = tensors["conv2.att_src"].shape
        _, features = tensors["conv1.lin.weight"].shape
    except (KeyError, ValueError) as error:
        raise WeightsError(f"not the tensors of two GATConv layers ({error})") from error
    return Architecture(features, hidden, heads, classes, out_heads)
