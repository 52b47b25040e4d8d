"""The card of a NuGraph3 network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, TypeAlias

import msgspec

from naiad.applications.nugraph.schema import MAX_INTEGRAL, POSITION_SCALE
from naiad.card import ModelCard
from naiad.errors import WeightsError

PerPlane: TypeAlias = Mapping[str, tuple[float, ...]]
"""By plane, a number for each of a hit's features."""

_LARGEST_SIZE: Final = 4096
"""Of any size in an architecture; the public network's largest is 128."""


class Architecture(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sizes of the network; the defaults are those of the public checkpoint.

    Raises:
        WeightsError: a size is not an integer in range, or planes have no names.
    """

    planes: tuple[str, ...] = ("u", "v", "y")
    semantic_classes: int = 7
    event_classes: int = 4
    in_features: int = 4
    planar_features: int = 128
    nexus_features: int = 32
    interaction_features: int = 32
    num_iters: int = 5

    def __post_init__(self) -> None:
        if not self.planes or not all(plane.isidentifier() for plane in self.planes):
            raise WeightsError(f"planes are {self.planes}; they must be names, such as u, v, y")
        for name in self.__struct_fields__[1:]:
            value = getattr(self, name)
            if type(value) is not int or not 0 < value <= _LARGEST_SIZE:
                raise WeightsError(f"{name} is {value!r}; it must be 1 to {_LARGEST_SIZE}")


class Normalisation(msgspec.Struct, frozen=True):
    """By plane, the mean and standard deviation of the four features of a hit."""

    mean: PerPlane
    std: PerPlane


class NuGraph3Card(ModelCard, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Description of a trained network.

    Attributes:
        architecture: sizes of the network.
        semantic_classes: name of each column of ``x_semantic_p``.
        event_classes: name of each column of ``e_evt``.
        mean, std: by plane, the numbers by which the four features of a hit (wire and time in cm,
            integral in ADC, rms in ticks) are shifted and divided.
        position_scale: the factors of wire and time.
        max_integral: largest charge of a hit, in ADC counts, that the network is meant for.

    Raises:
        WeightsError: names or numbers do not fit the architecture.
    """

    architecture: Architecture
    semantic_classes: tuple[str, ...]
    event_classes: tuple[str, ...]
    mean: PerPlane
    std: PerPlane
    position_scale: tuple[float, float] = POSITION_SCALE
    max_integral: float = MAX_INTEGRAL

    def __post_init__(self) -> None:
        sizes = self.architecture
        for kind, names, size in (
            ("semantic", self.semantic_classes, sizes.semantic_classes),
            ("event", self.event_classes, sizes.event_classes),
        ):
            if len(names) != size:
                raise WeightsError(f"{len(names)} names for {size} {kind} classes")
        for kind, values in (("mean", self.mean), ("std", self.std)):
            if set(values) != set(sizes.planes):
                raise WeightsError(
                    f"normalisation {kind} is of planes {sorted(values)}; "
                    f"the network has {sorted(sizes.planes)}"
                )
            for plane, numbers in values.items():
                if len(numbers) != sizes.in_features or not all(map(math.isfinite, numbers)):
                    raise WeightsError(
                        f"normalisation {kind} of plane {plane} is {list(numbers)}; "
                        f"it must be {sizes.in_features} finite numbers"
                    )
        if not all(number > 0 for numbers in self.std.values() for number in numbers):
            raise WeightsError("normalisation std must be above 0 everywhere")
