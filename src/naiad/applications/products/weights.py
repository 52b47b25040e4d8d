"""The weights of a GraphSAGE network in a folder, in the format of :mod:`naiad.weights`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from naiad.applications.products.card import FANOUTS, Architecture, ProductsCard
from naiad.card import read_card
from naiad.errors import MissingExtra, WeightsError
from naiad.weights import check_tensors, read_state_dict, read_tensors

try:
    import torch
except ImportError as error:
    raise MissingExtra("products", error.name or "torch") from error

from naiad.applications.products.model import SageNet

_LAYER: Final = ("lin_l.weight", "lin_l.bias", "lin_r.weight")


def load_weights(folder: Path) -> tuple[SageNet, ProductsCard]:
    """Load the network in a folder, in evaluation mode.

    Raises:
        WeightsError: a file is missing, does not match the card's sha256, or does not fit the
            architecture.
    """
    card = read_card(folder, ProductsCard)
    tensors = read_tensors(folder, _shapes(card.architecture), card.sha256)
    net = SageNet(card.architecture)
    net.load_state_dict(tensors)
    return net.eval(), card


def import_checkpoint(
    checkpoint: Path,
    folder: Path,
    *,
    classes: Sequence[str] | None = None,
    graph: str = "",
    fanouts: Sequence[int] | None = None,
    notice: str = "",
) -> ProductsCard:
    """Turn a PyTorch checkpoint of ``SAGEConv`` layers into a folder of weights.

    Args:
        checkpoint: a file written by ``torch.save`` with a ``state_dict``, or with a mapping that
            has one under ``"state_dict"``. It is read with ``weights_only=True``: no code is run.
        folder: the folder to write to.
        classes: the name of each category, in order; by default ``category 0`` and so on.
        graph: the folder of the graph to serve with the weights.
        fanouts: neighbours to sample at each hop; by default 15, 10, 5, and 5 at further hops.
        notice: a notice to users of the weights.

    Raises:
        WeightsError: the file is not such a checkpoint.
    """
    try:
        tensors = _in_order(read_state_dict(checkpoint))
        architecture = _architecture(tensors)
        check_tensors(tensors, _shapes(architecture), "state_dict")
        layers = architecture.layers
        card = ProductsCard(
            architecture=architecture,
            classes=tuple(classes or (f"category {n}" for n in range(architecture.classes))),
            trained_on="unknown: imported",
            graph=graph,
            fanouts=tuple(fanouts or (*FANOUTS, *[FANOUTS[-1]] * layers)[:layers]),
            notice=notice,
            provenance={"checkpoint": checkpoint.name},
        )
    except WeightsError as error:
        raise WeightsError(f"{checkpoint}: {error}") from error
    net = SageNet(architecture)
    net.load_state_dict(tensors)
    return card.save_with(net, folder)


def read_architecture(checkpoint: Path) -> Architecture:
    """Return the sizes of the network in a checkpoint.

    Raises:
        WeightsError: the file is not such a checkpoint.
    """
    try:
        return _architecture(_in_order(read_state_dict(checkpoint)))
    except WeightsError as error:
        raise WeightsError(f"{checkpoint}: {error}") from error


def _shapes(architecture: Architecture) -> dict[str, torch.Size]:
    """Return the shape of each parameter, without allocating any."""
    with torch.device("meta"):
        state = SageNet(architecture).state_dict()
    return {name: tensor.shape for name, tensor in state.items()}


def _in_order(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Rename the tensors to those of :class:`SageNet`, whatever the layers are called."""
    layers = [name.removesuffix(_LAYER[0]) for name in state if name.endswith(_LAYER[0])]
    # Compare numbers in names as numbers: convs.10 comes after convs.9.
    layers.sort(key=lambda name: [int(n) for n in re.findall(r"\d+", name)])
    renamed: dict[str, torch.Tensor] = {}
    for name, tensor in state.items():
        layer = next((prefix for prefix in layers if name.startswith(prefix)), None)
        rest = name.removeprefix(layer or "")
        if layer is None or rest not in _LAYER:
            raise WeightsError(f"{name} has no place in a network of plain SAGEConv layers")
        renamed[f"convs.{layers.index(layer)}.{rest}"] = tensor.float()
    return renamed


def _architecture(tensors: Mapping[str, torch.Tensor]) -> Architecture:
    names = [name for name in tensors if name.endswith(_LAYER[0])]
    try:
        hidden, features = tensors[f"convs.0.{_LAYER[0]}"].shape
        classes, _ = tensors[f"convs.{len(names) - 1}.{_LAYER[0]}"].shape
    except (KeyError, ValueError) as error:
        raise WeightsError(f"not the tensors of SAGEConv layers ({error})") from error
    return Architecture(features, hidden, classes, len(names))
