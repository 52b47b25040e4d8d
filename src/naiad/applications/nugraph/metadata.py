"""What is known about a set of weights: ``weights.json``, beside ``weights.safetensors``.

Needs neither torch nor safetensors, so servers and clients can read it anywhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, cast

from naiad.applications.nugraph.schema import MAX_INTEGRAL, POSITION_SCALE
from naiad.errors import WeightsError
from naiad.weights import FACTS_FILE, facts_from_json, facts_to_json, read_facts

_LARGEST_SIZE: Final = 4096
"""Of any size in an architecture; the public network's largest is 128."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """Sizes of the network; the defaults are those of the public checkpoint.

    Raises:
        WeightsError: a size is not a sensible positive integer, or there is no plane.
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
        for size in fields(self)[1:]:
            value = getattr(self, size.name)
            if type(value) is not int or not 0 < value <= _LARGEST_SIZE:
                raise WeightsError(f"{size.name} is {value!r}; it must be 1 to {_LARGEST_SIZE}")


@dataclass(frozen=True, slots=True)
class Metadata:
    """Everything about a trained NuGraph3 that is not a parameter.

    Attributes:
        architecture: sizes of the network.
        semantic_classes: name of each column of ``x_semantic_p``.
        event_classes: name of each column of ``e_evt``.
        mean, std: by plane, what the four features of a hit (wire and time in cm, integral in
            ADC, rms in ticks) are shifted and divided by.
        position_scale: what wire and time are multiplied by.
        max_integral: largest charge of a hit, in ADC counts, that the network is meant for.
        notice: what every user must know of these weights.
        provenance: where they come from, in free words.
        sha256: of the tensors' file; set when the weights are saved.

    Raises:
        WeightsError: names or numbers do not fit the architecture.
    """

    architecture: Architecture
    semantic_classes: tuple[str, ...]
    event_classes: tuple[str, ...]
    mean: Mapping[str, tuple[float, ...]]
    std: Mapping[str, tuple[float, ...]]
    position_scale: tuple[float, float] = POSITION_SCALE
    max_integral: float = MAX_INTEGRAL
    notice: str = ""
    provenance: Mapping[str, str] = field(default_factory=dict[str, str])
    sha256: str = ""

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
                if len(numbers) != sizes.in_features or not all(map(_is_finite, numbers)):
                    raise WeightsError(
                        f"normalisation {kind} of plane {plane} is {list(numbers)}; "
                        f"it must be {sizes.in_features} finite numbers"
                    )
        if not all(number > 0 for numbers in self.std.values() for number in numbers):
            raise WeightsError("normalisation std must be above 0 everywhere")

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
            sizes = cast(dict[str, Any], values.pop("architecture"))
            return cls(
                architecture=Architecture(planes=_strings(sizes.pop("planes")), **sizes),
                semantic_classes=_strings(values.pop("semantic_classes")),
                event_classes=_strings(values.pop("event_classes")),
                mean=_per_plane(values.pop("mean")),
                std=_per_plane(values.pop("std")),
                position_scale=_pair(values.pop("position_scale")),
                max_integral=float(values.pop("max_integral")),
                notice=str(values.pop("notice")),
                provenance={str(k): str(v) for k, v in values.pop("provenance").items()},
                sha256=str(values.pop("sha256")),
                **values,
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise WeightsError(
                f"not the metadata of NuGraph3 weights ({type(error).__name__}: {error})"
            ) from error


def read_metadata(folder: Path) -> Metadata:
    """Read the metadata of a folder of weights.

    Raises:
        WeightsError: the folder has none, or it cannot be understood.
    """
    path = folder / FACTS_FILE
    try:
        text = read_facts(path)
        return Metadata.from_json(text)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error


def read_normalisation(
    path: Path,
) -> tuple[Mapping[str, tuple[float, ...]], Mapping[str, tuple[float, ...]]]:
    """Mean and std by plane from a JSON file ``{"mean": {"u": [...], ...}, "std": {...}}``.

    Raises:
        WeightsError: the file is missing or something else.
    """
    try:
        values = json.loads(read_facts(path))
        return _per_plane(values["mean"]), _per_plane(values["std"])
    except (AttributeError, KeyError, TypeError, ValueError, WeightsError) as error:
        raise WeightsError(f"{path}: no normalisation constants ({error})") from error


def _strings(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(v, str) for v in cast(list[Any], values)):
        raise TypeError(f"{values!r} is not a list of names")
    return tuple(cast(list[str], values))


def _per_plane(values: Any) -> dict[str, tuple[float, ...]]:
    return {str(plane): tuple(float(v) for v in numbers) for plane, numbers in values.items()}


def _pair(values: Any) -> tuple[float, float]:
    first, second = (float(v) for v in values)
    return first, second


def _is_finite(number: float) -> bool:
    return abs(number) < float("inf")
