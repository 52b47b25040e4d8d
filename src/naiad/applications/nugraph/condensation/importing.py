"""Lightning checkpoints of NuGraph3 with object condensation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from naiad.applications.nugraph.condensation.card import (
    GENERATION_OF,
    HEADS,
    Architecture,
    CondensationCard,
)
from naiad.applications.nugraph.condensation.model import CondensationNet
from naiad.applications.nugraph.schema import PLANES
from naiad.errors import WeightsError

if TYPE_CHECKING:
    import torch

_NORM: Final = "encoder.input_norm.norm."
_SIZES: Final = (
    *("in_features", "hit_features", "nexus_features", "interaction_features"),
    *("instance_features", "num_iters"),
)
_REFUSED_FEATURES: Final = {
    4: "graphs of before 2026, without the plane, which this network never had",
    9: "graphs of the first generation made with --featext, whose four further features are 0",
    12: "graphs made with --featext, whose four further features are 0",
}
_SHOWN: Final = 3
"""Most tensors that a message names."""


class Checkpoint(Protocol):
    """The content of a checkpoint, as :mod:`naiad.applications.nugraph.checkpoints` reads it."""

    @property
    def tensors(self) -> Mapping[str, torch.Tensor]:
        """The ``state_dict``, without the scalars named ``temp``."""
        ...

    @property
    def values(self) -> Mapping[str, Any]:
        """The ``hyper_parameters``."""
        ...

    @property
    def origin(self) -> Mapping[str, str]:
        """Facts for the card's ``provenance``."""
        ...

    def names(self, *keys: str) -> tuple[str, ...]:
        """Return a hyper-parameter that lists names."""
        ...


def from_checkpoint(
    found: Checkpoint, normalisation: Path | None, notice: str
) -> tuple[CondensationNet, CondensationCard]:
    """Make network and card from a checkpoint.

    Args:
        found: the checkpoint.
        normalisation: must be None, as these checkpoints have their own.
        notice: what every user of the weights must know.

    Raises:
        WeightsError: it is of an earlier version of the network, for other graphs, or without any
            head; says what differs.
    """
    if normalisation is not None:
        raise WeightsError(
            f"{normalisation} is not needed: the checkpoint has its normalisation in itself"
        )
    values = found.values
    heads = tuple(head for head in HEADS if values.get(f"{head}_head") is True)
    if not heads:
        raise WeightsError(f"trained without any head; one of {', '.join(HEADS)} is needed")
    if (planes := found.names("planes")) != PLANES:
        raise WeightsError(f"planes are {', '.join(planes)}; the service has {', '.join(PLANES)}")
    sizes = {name: values.get(name) for name in _SIZES}
    _check_features(sizes["in_features"])
    names = {
        f"{head}_classes": found.names(f"{head}_classes") if head in heads else ()
        for head in ("semantic", "event")
    }
    architecture = Architecture(**sizes, **{name: len(classes) for name, classes in names.items()})
    net = CondensationNet(architecture, heads)
    features = architecture.in_features
    constants = {"mean": (features,), "var": (features,), "count": (1,)}
    _check_tensors(
        found.tensors,
        {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
        | {f"{_NORM}{name}": shape for name, shape in constants.items()},
    )
    mean, var = (tuple(found.tensors[f"{_NORM}{name}"].tolist()) for name in ("mean", "var"))
    card = CondensationCard(
        generation=architecture.generation,
        heads=heads,
        architecture=architecture,
        semantic_classes=names["semantic_classes"],
        event_classes=names["event_classes"],
        mean=mean,
        var=var,
        notice=notice,
        provenance=found.origin,
    )
    net.load_state_dict(
        {name: tensor for name, tensor in found.tensors.items() if not name.startswith(_NORM)}
    )
    net.set_normalisation(mean, var)
    return net, card


def _check_features(number: Any) -> None:
    """Refuse a network for other graphs than ours, by the number of features of a hit."""
    if number in GENERATION_OF:
        return
    what = f": {_REFUSED_FEATURES[number]}" if number in _REFUSED_FEATURES else ""
    raise WeightsError(
        f"in_features is {number}{what}; networks for graphs of the first (5 features) and second "
        "generation (8) can be served"
    )


def _check_tensors(
    tensors: Mapping[str, torch.Tensor], shapes: Mapping[str, tuple[int, ...]]
) -> None:
    """Refuse a network that is not exactly that of July 2026.

    Raises:
        WeightsError: names tensors that are missing, unknown or of another shape.
    """
    missing = sorted(shapes.keys() - tensors.keys())
    unknown = sorted(tensors.keys() - shapes.keys())
    other = [
        f"{name} {list(tensors[name].shape)}, not {list(shape)}"
        for name, shape in shapes.items()
        if name in tensors and tuple(tensors[name].shape) != shape
    ]
    differs = [
        f"{word} {', '.join(names[:_SHOWN])}"
        + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
        for word, names in (("no", missing), ("also", unknown), ("", other))
        if names
    ]
    if differs:
        raise WeightsError(
            "not NuGraph3 as of July 2026 (commit 1b49275), but another version of it: it has "
            + "; ".join(text.strip() for text in differs)
        )
