"""The metadata of a GraphSAGE network's weights: ``weights.json``.

Needs neither torch nor safetensors, so servers and clients can read it anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from naiad.errors import WeightsError
from naiad.weights import FACTS_FILE, facts_from_json, facts_to_json, read_facts

FANOUTS: Final = (15, 10, 5)
"""Neighbours sampled at each hop, nearest first, as in the OGB examples for ogbn-products."""

_LARGEST_SIZE: Final = 1 << 14
_MOST_LAYERS: Final = 8
_LARGEST_FANOUT: Final = 1_000


@dataclass(frozen=True, slots=True)
class Architecture:
    """Sizes of the network; the defaults are those of the OGB examples for ogbn-products.

    Raises:
        WeightsError: a size is not an integer, or out of range.
    """

    features: int = 100
    hidden: int = 256
    classes: int = 47
    layers: int = 3

    def __post_init__(self) -> None:
        for size in fields(self):
            value = getattr(self, size.name)
            low, high = (2, _MOST_LAYERS) if size.name == "layers" else (1, _LARGEST_SIZE)
            if type(value) is not int or not low <= value <= high:
                raise WeightsError(f"{size.name} is {value!r}; it must be {low} to {high}")

    def widths(self) -> tuple[int, ...]:
        """Return the numbers per node before the first layer and after each."""
        return (self.features, *[self.hidden] * (self.layers - 1), self.classes)


@dataclass(frozen=True, slots=True)
class Metadata:
    """Everything about a trained network that is not a parameter.

    Attributes:
        architecture: the sizes of the network.
        classes: the name of each category.
        trained_on: the training data, in words.
        graph: the folder of the graph to serve with these weights, relative to theirs or absolute;
            "" for none.
        fanouts: maximum number of neighbours sampled per node at each hop, nearest hop first.
        notice: a notice to users of the weights.
        provenance: the origin of the weights, in free words.
        sha256: the hash of the tensors' file; set when the weights are saved.

    Raises:
        WeightsError: the names or the fan-outs do not fit the architecture.
    """

    architecture: Architecture
    classes: tuple[str, ...]
    trained_on: str
    graph: str = ""
    fanouts: tuple[int, ...] = FANOUTS
    notice: str = ""
    provenance: Mapping[str, str] = field(default_factory=dict[str, str])
    sha256: str = ""

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

    def to_json(self) -> str:
        """Return the text of ``weights.json``."""
        return facts_to_json(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Metadata:
        """Read what :meth:`to_json` wrote.

        Raises:
            WeightsError: the text is not such metadata.
        """
        try:
            values = facts_from_json(text)
            classes: list[Any] = values.pop("classes")
            return cls(
                architecture=Architecture(**values.pop("architecture")),
                classes=tuple(str(name) for name in classes),
                fanouts=tuple(values.pop("fanouts")),
                provenance={str(k): str(v) for k, v in values.pop("provenance").items()},
                **values,
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise WeightsError(
                f"not the metadata of GraphSAGE weights ({type(error).__name__}: {error})"
            ) from error


def read_metadata(folder: Path) -> Metadata:
    """Read the metadata of a folder of weights.

    Raises:
        WeightsError: the metadata is missing or invalid.
    """
    path = folder / FACTS_FILE
    try:
        return Metadata.from_json(read_facts(path))
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
