"""The card of a graph attention network."""

from __future__ import annotations

from typing import Final

import msgspec

from naiad.applications.gat.schema import CLASSES, FEATURES
from naiad.card import ModelCard
from naiad.errors import WeightsError

_LARGEST_SIZE: Final = 1 << 16
"""Of any size in an architecture; Cora's largest is its vocabulary of 1433 words."""


class Architecture(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sizes of the network; the defaults are those of the paper for Cora.

    Raises:
        WeightsError: a size is not an integer in range.
    """

    features: int = FEATURES
    hidden: int = 8
    heads: int = 8
    classes: int = CLASSES
    out_heads: int = 1

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if type(value) is not int or not 0 < value <= _LARGEST_SIZE:
                raise WeightsError(f"{name} is {value!r}; it must be 1 to {_LARGEST_SIZE}")


class GatCard(ModelCard, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Description of a trained network.

    Attributes:
        architecture: sizes of the network.
        classes: name of each column of the scores.
        trained_on: the training data, in words.
        row_normalised: whether each row of the features summed to 1 in training; requests must
            then be scaled likewise.

    Raises:
        WeightsError: the names do not fit the architecture.
    """

    architecture: Architecture
    classes: tuple[str, ...]
    trained_on: str
    row_normalised: bool = True

    def __post_init__(self) -> None:
        if len(self.classes) != self.architecture.classes:
            raise WeightsError(f"{len(self.classes)} names for {self.architecture.classes} classes")
        wrong = [name for name in self.classes if not name or "," in name]
        if wrong:
            raise WeightsError(f"{wrong[0]!r} cannot be a class's name: it is empty or has a comma")
