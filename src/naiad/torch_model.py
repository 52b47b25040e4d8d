"""A torch network from a path that has weights: a folder of Naiad's, or TorchScript.

A folder with ``weights.json`` has the parameters (:mod:`naiad.weights`) of a network whose code is
in the package. Any other file, or folder with one TorchScript file, is what ``torch.jit.save``
writes: a program, to be loaded only from trusted sources.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from naiad.card import ModelCard, read_card
from naiad.errors import WeightsError
from naiad.files import suffix_of
from naiad.networks.torch_networks import load_torchscript
from naiad.weights import CARD_FILE, read_tensors

if TYPE_CHECKING:
    import torch

SUFFIXES: Final = (".ts", ".pt", ".pth")
"""Suffixes of TorchScript files."""


class NetworkCard(ModelCard, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Description of a network whose code fixes its architecture.

    Attributes:
        metrics: measured quality, by name.
    """

    metrics: Mapping[str, Any] = {}


def read(path: Path, *, foreign: str) -> NetworkCard:
    """Read the card of the weights at ``path``; that of TorchScript has the notice ``foreign``.

    Raises:
        WeightsError: the card is damaged, or the path has neither a card nor TorchScript.
    """
    if not (path / CARD_FILE).is_file():
        find_torchscript(path)
        return NetworkCard(notice=foreign)
    return read_card(path, NetworkCard)


def load(path: Path, make: Callable[[], torch.nn.Module], device: str) -> torch.nn.Module:
    """Load the network at ``path`` onto ``device``, ready for inference.

    Args:
        path: a folder with a card, a TorchScript file, or a folder that has one.
        make: creates the network that a folder with a card has the parameters of.
        device: ``"cpu"``, ``"cuda:0"``, ...

    Raises:
        WeightsError: the weights are missing, damaged, or of another network.
    """
    if not (path / CARD_FILE).is_file():
        return load_torchscript(find_torchscript(path), device)
    module = make()
    shapes = {name: tensor.shape for name, tensor in module.state_dict().items()}
    sha256 = read_card(path, NetworkCard).sha256
    module.load_state_dict(read_tensors(path, shapes, sha256))
    return module.to(device).eval()


def find_torchscript(path: Path) -> Path:
    """Find the TorchScript file at ``path``: the path itself, or the only one in or below it.

    Raises:
        WeightsError: no such file, or several.
    """
    if path.is_file():
        return path
    found = sorted(
        file for file in path.rglob("*") if suffix_of(file) in SUFFIXES and file.is_file()
    )
    if len(found) != 1:
        names = ", ".join(str(file.relative_to(path)) for file in found) or "none"
        raise WeightsError(
            f"{path} must have {CARD_FILE}, or one TorchScript file ({', '.join(SUFFIXES)}); "
            f"it has {names}"
        )
    return found[0]
