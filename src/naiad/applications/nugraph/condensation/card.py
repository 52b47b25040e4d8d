"""The card of a NuGraph3 network with object condensation."""

from __future__ import annotations

import math
from typing import ClassVar, Final

import msgspec

from naiad.applications.nugraph.schema import MAX_INTEGRAL, POSITION_SCALE
from naiad.card import ModelCard
from naiad.errors import WeightsError

HEADS: Final = ("event", "semantic", "filter", "vertex", "instance", "spacepoint")
"""The heads that a network may have, in the order in which they run."""

GENERATION_OF: Final = {5: 1, 8: 2}
"""Generation of the graph by the number of its features of a hit.

1: hits in order of plane, positions scaled to cm (pynuml until 2024); 2: hits in table order,
positions as they are (NuGraph's main branch of 2026).
"""

EPSILON: Final = 1e-5
"""Added to the variance of a feature before dividing by its root."""

_LARGEST_SIZE: Final = 4096


class Architecture(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sizes of the network; the defaults are those of the original's own.

    ``semantic_classes`` and ``event_classes`` are 0 without the head.

    Raises:
        WeightsError: a size is not an integer in range, or there are no features of this number.
    """

    in_features: int = 8
    hit_features: int = 128
    nexus_features: int = 32
    interaction_features: int = 32
    instance_features: int = 8
    num_iters: int = 5
    semantic_classes: int = 7
    event_classes: int = 4

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            least = 0 if name.endswith("_classes") else 1
            if type(value) is not int or not least <= value <= _LARGEST_SIZE:
                raise WeightsError(f"{name} is {value!r}; it must be {least} to {_LARGEST_SIZE}")
        if self.in_features not in GENERATION_OF:
            raise WeightsError(
                f"in_features is {self.in_features}; it must be 5 (graphs of the first generation) "
                "or 8 (of the second)"
            )

    @property
    def generation(self) -> int:
        """Generation of the graph that the network takes; see `GENERATION_OF`."""
        return GENERATION_OF[self.in_features]


class CondensationCard(ModelCard, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Description of a trained network.

    Attributes:
        generation: of the graph, 1 or 2; see `GENERATION_OF`.
        heads: the network's heads, a selection of `HEADS` in that order.
        architecture: sizes of the network.
        semantic_classes: name of each column of ``x_semantic_p``; none without that head.
        event_classes: name of each column of ``e_evt``; none without that head.
        mean, var: the numbers by which each feature of a hit is shifted, and divided after adding
            1e-5 and taking the square root.
        position_scale: factors of wire and time in graphs of the first generation.
        max_integral: largest charge of a hit, in ADC counts, that the network is meant for.

    Raises:
        WeightsError: heads, names or numbers do not fit the architecture.
    """

    title: ClassVar[str] = "NuGraph3 of 2026"
    application: ClassVar[str] = "nugraph3"

    generation: int
    heads: tuple[str, ...]
    architecture: Architecture
    semantic_classes: tuple[str, ...] = ()
    event_classes: tuple[str, ...] = ()
    mean: tuple[float, ...]
    var: tuple[float, ...]
    position_scale: tuple[float, float] = POSITION_SCALE
    max_integral: float = MAX_INTEGRAL

    @property
    def sizes(self) -> Architecture:
        """The architecture."""
        return self.architecture

    def __post_init__(self) -> None:
        sizes = self.architecture
        if self.generation != sizes.generation:
            raise WeightsError(
                f"generation is {self.generation}; with {sizes.in_features} features it is "
                f"{sizes.generation}"
            )
        if not self.heads or self.heads != tuple(head for head in HEADS if head in self.heads):
            raise WeightsError(
                f"heads are {', '.join(self.heads) or 'none'}; they must be some of "
                f"{', '.join(HEADS)}, in this order"
            )
        for head, names, size in (
            ("semantic", self.semantic_classes, sizes.semantic_classes),
            ("event", self.event_classes, sizes.event_classes),
        ):
            if len(names) != size:
                raise WeightsError(f"{len(names)} names for {size} {head} classes")
            if bool(size) != (head in self.heads):
                there = "a" if head in self.heads else "no"
                raise WeightsError(f"{size} {head} classes, but {there} {head} head")
        for kind, numbers in (("mean", self.mean), ("var", self.var)):
            if len(numbers) != sizes.in_features or not all(map(math.isfinite, numbers)):
                raise WeightsError(
                    f"normalisation {kind} is {list(numbers)}; "
                    f"it must be {sizes.in_features} finite numbers"
                )
        if min(self.var) < 0:
            raise WeightsError("normalisation var must not be negative")
