"""The cards of NuGraph networks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final, TypeAlias, TypeVar

import msgspec

from naiad.applications.nugraph.condensation.card import CondensationCard
from naiad.applications.nugraph.schema import MAX_INTEGRAL, POSITION_SCALE
from naiad.card import ModelCard, read_card
from naiad.errors import WeightsError

PerPlane: TypeAlias = Mapping[str, tuple[float, ...]]
"""By plane, a number for each of a hit's features."""

_LARGEST_SIZE: Final = 4096
"""Of any size in an architecture; the public network's largest is 128."""


class Sizes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The planes of a network, and its sizes, which subclasses add.

    Raises:
        WeightsError: a size is not an integer in range, or planes have no names.
    """

    planes: tuple[str, ...] = ("u", "v", "y")

    def __post_init__(self) -> None:
        if not self.planes or not all(plane.isidentifier() for plane in self.planes):
            raise WeightsError(f"planes are {self.planes}; they must be names, such as u, v, y")
        for name in self.__struct_fields__[1:]:
            value = getattr(self, name)
            if type(value) is not int or not 0 < value <= _LARGEST_SIZE:
                raise WeightsError(f"{name} is {value!r}; it must be 1 to {_LARGEST_SIZE}")


class Architecture(Sizes, frozen=True, forbid_unknown_fields=True):
    """Sizes of NuGraph3; the defaults are those of the public checkpoint."""

    semantic_classes: int = 7
    event_classes: int = 4
    in_features: int = 4
    planar_features: int = 128
    nexus_features: int = 32
    interaction_features: int = 32
    num_iters: int = 5


class NuGraph2Architecture(Sizes, frozen=True, forbid_unknown_fields=True):
    """Sizes of NuGraph2; the defaults are those of its code.

    Every hit and spacepoint has ``planar_features`` or ``nexus_features`` for each class.
    """

    semantic_classes: int = 5
    in_features: int = 4
    planar_features: int = 64
    nexus_features: int = 16
    num_iters: int = 5


class Normalisation(msgspec.Struct, frozen=True):
    """By plane, the mean and standard deviation of the four features of a hit."""

    mean: PerPlane
    std: PerPlane


class NuGraphCard(ModelCard, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fields that the cards of NuGraph2 and NuGraph3 share; subclasses add ``architecture``.

    Attributes:
        semantic_classes: name of each column of ``x_semantic_p``.
        mean, std: by plane, the numbers by which the four features of a hit (wire and time in cm,
            integral in ADC, rms in ticks) are shifted and divided.
        position_scale: the factors of wire and time.
        max_integral: largest charge of a hit, in ADC counts, that the network is meant for.

    Raises:
        WeightsError: names or numbers do not fit the architecture.
    """

    title: ClassVar[str]
    """Name of the network."""
    application: ClassVar[str]
    """Name of the application that serves it."""

    semantic_classes: tuple[str, ...]
    mean: PerPlane
    std: PerPlane
    position_scale: tuple[float, float] = POSITION_SCALE
    max_integral: float = MAX_INTEGRAL

    @property
    def sizes(self) -> Architecture | NuGraph2Architecture:
        """The architecture."""
        raise NotImplementedError

    def __post_init__(self) -> None:
        sizes = self.sizes
        check_names("semantic", self.semantic_classes, sizes.semantic_classes)
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


class NuGraph3Card(NuGraphCard, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Description of a trained NuGraph3, as `NuGraphCard`.

    Attributes:
        architecture: sizes of the network.
        event_classes: name of each column of ``e_evt``.
    """

    title: ClassVar[str] = "NuGraph3"
    application: ClassVar[str] = "nugraph3"

    architecture: Architecture
    event_classes: tuple[str, ...]

    @property
    def sizes(self) -> Architecture:
        """The architecture."""
        return self.architecture

    def __post_init__(self) -> None:
        NuGraphCard.__post_init__(self)
        check_names("event", self.event_classes, self.architecture.event_classes)


class NuGraph2Card(NuGraphCard, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Description of a trained NuGraph2, as `NuGraphCard`.

    Attributes:
        architecture: sizes of the network.
    """

    title: ClassVar[str] = "NuGraph2"
    application: ClassVar[str] = "nugraph2"

    architecture: NuGraph2Architecture

    @property
    def sizes(self) -> NuGraph2Architecture:
        """The architecture."""
        return self.architecture


CARDS: Final = (NuGraph3Card, NuGraph2Card, CondensationCard)
"""The cards of all networks that are imported."""

Kind = TypeVar("Kind", bound=NuGraphCard | CondensationCard)


def read_any_card(folder: Path) -> NuGraphCard | CondensationCard:
    """Read the card in a folder of weights of one of the networks.

    Raises:
        WeightsError: there is no card, or it is of another network.
    """
    first: WeightsError | None = None
    for kind in CARDS:
        try:
            return read_card(folder, kind)
        except WeightsError as error:  # noqa: PERF203 - there are few
            first = first or error
    assert first is not None
    raise first


def read_card_of(folder: Path, kind: type[Kind]) -> Kind:
    """Read the card in a folder of weights of one network.

    Raises:
        WeightsError: there is no card, or it is of another network; says which command serves it.
    """
    try:
        return read_card(folder, kind)
    except WeightsError as error:
        try:
            other = read_any_card(folder)
        except WeightsError:
            raise error from None
    raise WeightsError(
        f"{folder}: weights of {other.title}, not of {kind.title}; serve them with: "
        f"naiad serve {other.application} --weights {folder}"
    )


def check_names(kind: str, names: Sequence[str], size: int) -> None:
    """Check that there is a name for each class.

    Raises:
        WeightsError: there are more or fewer.
    """
    if len(names) != size:
        raise WeightsError(f"{len(names)} names for {size} {kind} classes")
