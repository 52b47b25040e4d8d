"""What is known about the weights of a GraphSAGE network: ``weights.json``.

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
"""Neighbours sampled at each hop, the nearest first, as in the OGB examples for ogbn-products."""

_LARGEST_SIZE: Final = 1 << 14
_MOST_LAYERS: Final = 8
_LARGEST_FANOUT: Final = 1_000


@dataclass(frozen=True, slots=True)
class Architecture:
    """Sizes of the network; the defaults are those of the OGB examples for ogbn-products.

    Raises:
        WeightsError: a size is not a sensible positive integer.
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
        """Numbers per node before the first layer and after each."""
        return (self.features, *[self.hidden] * (self.layers - 1), self.classes)


@dataclass(frozen=True, slots=True)
class Metadata:
    """Everything about a trained network that is not a parameter.

    Attributes:
        architecture: sizes of the network.
        classes: name of each category.
        trained_on: the data, in words.
        graph: folder of the graph that is served with these weights, relative to theirs or
            absolute; "" where there is none.
        fanouts: the most neighbours that are sampled per node at each hop, the nearest hop first.
        notice: what every user must know of these weights.
        provenance: where they come from, in free words.
        sha256: of the tensors' file; set when the weights are saved.

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
        """The text of ``weights.json``."""
        return facts_to_json(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Metadata:
        """Read what :meth:`to_json` wrote.

        Raises:
            WeightsError: the text is something else.
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
        WeightsError: the folder has none, or it cannot be understood.
    """
    path = folder / FACTS_FILE
    try:
        return Metadata.from_json(read_facts(path))
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
