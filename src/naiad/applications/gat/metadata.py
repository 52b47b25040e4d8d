"""What is known about the weights of a graph attention network: ``weights.json``.

Needs neither torch nor safetensors, so servers and clients can read it anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from naiad.applications.gat.schema import CLASSES, FEATURES
from naiad.errors import WeightsError
from naiad.weights import FACTS_FILE, facts_from_json, facts_to_json, read_facts

_LARGEST_SIZE: Final = 1 << 16
"""Of any size in an architecture; Cora's largest is its vocabulary of 1433 words."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """Sizes of the network; the defaults are those of the paper for Cora.

    Raises:
        WeightsError: a size is not a sensible positive integer.
    """

    features: int = FEATURES
    hidden: int = 8
    heads: int = 8
    classes: int = CLASSES
    out_heads: int = 1

    def __post_init__(self) -> None:
        for size in fields(self):
            value = getattr(self, size.name)
            if type(value) is not int or not 0 < value <= _LARGEST_SIZE:
                raise WeightsError(f"{size.name} is {value!r}; it must be 1 to {_LARGEST_SIZE}")


@dataclass(frozen=True, slots=True)
class Metadata:
    """Everything about a trained network that is not a parameter.

    Attributes:
        architecture: sizes of the network.
        classes: name of each column of the scores.
        trained_on: the data, in words.
        row_normalised: whether each row of the features summed to 1 in training, as it then must
            when the network is asked.
        notice: what every user must know of these weights.
        provenance: where they come from, in free words.
        sha256: of the tensors' file; set when the weights are saved.

    Raises:
        WeightsError: the names do not fit the architecture.
    """

    architecture: Architecture
    classes: tuple[str, ...]
    trained_on: str
    row_normalised: bool = True
    notice: str = ""
    provenance: Mapping[str, str] = field(default_factory=dict[str, str])
    sha256: str = ""

    def __post_init__(self) -> None:
        if len(self.classes) != self.architecture.classes:
            raise WeightsError(f"{len(self.classes)} names for {self.architecture.classes} classes")
        wrong = [name for name in self.classes if not name or "," in name]
        if wrong:
            raise WeightsError(f"{wrong[0]!r} cannot be a class's name: it is empty or has a comma")

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
            if type(values["row_normalised"]) is not bool:
                raise TypeError(f"row_normalised is {values['row_normalised']!r}")
            return cls(
                architecture=Architecture(**values.pop("architecture")),
                classes=tuple(str(name) for name in classes),
                provenance={str(k): str(v) for k, v in values.pop("provenance").items()},
                **values,
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise WeightsError(
                f"not the metadata of GAT weights ({type(error).__name__}: {error})"
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
