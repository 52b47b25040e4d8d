"""The card of a GraphSAGE network."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from naiad.card import ModelCard
from naiad.errors import WeightsError

FANOUTS: Final = (15, 10, 5)
"""Neighbours sampled at each hop, nearest first, as in the OGB examples for ogbn-products."""

_LARGEST_SIZE: Final = 1 << 14
_MOST_LAYERS: Final = 8
_LARGEST_FANOUT: Final = 1_000


class Architecture(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sizes of the network; the defaults are those of the OGB examples for ogbn-products.

    Raises:
        WeightsError: a size is not an integer in range.
    """

    features: int = 100
    hidden: int = 256
    classes: int = 47
    layers: int = 3

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            low, high = (2, _MOST_LAYERS) if name == "layers" else (1, _LARGEST_SIZE)
            if type(value) is not int or not low <= value <= high:
                raise WeightsError(f"{name} is {value!r}; it must be {low} to {high}")

    def widths(self) -> tuple[int, ...]:
        """Return the numbers per node before the first layer and after each."""
        return (self.features, *[self.hidden] * (self.layers - 1), self.classes)


class ProductsCard(ModelCard, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Description of a trained network.

    Attributes:
        architecture: sizes of the network.
        classes: name of each category.
        trained_on: the training data, in words.
        graph: folder of the graph to serve with the network, relative to the card's or absolute;
            "" for none.
        fanouts: maximum number of neighbours sampled per node at each hop, nearest hop first.

    Raises:
        WeightsError: the names or the fan-outs do not fit the architecture.
    """

    architecture: Architecture
    classes: tuple[str, ...]
    trained_on: str
    graph: str = ""
    fanouts: tuple[int, ...] = FANOUTS

    def __post_init__(self) -> None:
        if len(self.classes) != self.architecture.classes:
            raise WeightsError(f"{len(self.classes)} names for {self.architecture.classes} classes")
        if not all(self.classes):
            raise WeightsError("a category has an empty name")
        if len(self.fanouts) != self.architecture.layers:
            raise WeightsError(
                f"{len(self.fanouts)} fan-outs for {self.architecture.layers} layers; "
                "each layer has one"
            )
        for fanout in self.fanouts:
            if type(fanout) is not int or not 0 < fanout <= _LARGEST_FANOUT:
                raise WeightsError(f"fan-out {fanout!r} must be 1 to {_LARGEST_FANOUT}")
        if ".." in Path(self.graph).parts:
            raise WeightsError(f"graph is {self.graph!r}; it must not lead out of the folder by ..")
