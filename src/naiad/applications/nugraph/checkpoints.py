"""Lightning checkpoints of the original networks: which generation one is of, and its content.

A new generation of networks needs an entry in `GENERATIONS`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar, cast

from naiad.applications.nugraph.arrangement import parameter_shapes
from naiad.applications.nugraph.card import (
    Architecture,
    Normalisation,
    NuGraph2Architecture,
    NuGraph2Card,
    NuGraph3Card,
    NuGraphCard,
)
from naiad.applications.nugraph.condensation.card import CondensationCard
from naiad.applications.nugraph.condensation.importing import from_checkpoint
from naiad.applications.nugraph.model import NuGraph3Net
from naiad.applications.nugraph.normalisation import NormalisedNet
from naiad.applications.nugraph.nugraph2_arrangement import parameter_shapes as nugraph2_shapes
from naiad.applications.nugraph.nugraph2_model import NuGraph2Net
from naiad.card import ModelCard
from naiad.errors import MissingExtra, WeightsError
from naiad.weights import check_tensors, read_checkpoint, read_json, state_dict_of

try:
    import torch
except ImportError as error:
    raise MissingExtra("nugraph3-train", error.name or "torch") from error

UBOONE_NORMALISATION: Final = Path(__file__).parent / "data" / "norm_uboone.json"
"""Normalisation of the public checkpoints, which store it in their data set."""

# Called by the schedule of the learning rate, which is in a checkpoint too.
_IGNORED = ("builtins.getattr", "torch.optim.lr_scheduler.OneCycleLR")

Tensors: TypeAlias = "Mapping[str, torch.Tensor]"
Net = TypeVar("Net", bound=NormalisedNet)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The content of a checkpoint.

    Attributes:
        path: of the file.
        tensors: its ``state_dict``, floating-point numbers as float32, without the scalars named
            ``temp``: parameters of the losses, which inference does not have.
        values: its ``hyper_parameters``.
        origin: for the card's ``provenance``.
    """

    path: Path
    tensors: Tensors
    values: Mapping[str, Any]
    origin: Mapping[str, str]

    def names(self, *keys: str) -> tuple[str, ...]:
        """Return a hyper-parameter that lists names; the first of ``keys`` that it has.

        Raises:
            WeightsError: it is not a list of names.
        """
        key = next((key for key in keys if self.values.get(key) is not None), keys[0])
        names = self.values.get(key)
        if not isinstance(names, Sequence) or not all(
            isinstance(name, str) for name in cast(Sequence[Any], names)
        ):
            raise WeightsError(f"hyper-parameter {key} is {names!r}; it must be a list of names")
        return tuple(cast(Sequence[str], names))

    def require_heads(self, *heads: str) -> None:
        """Check that the network has exactly these heads.

        Raises:
            WeightsError: it lacks one or has another.
        """
        for head in ("event", "semantic", "filter", "vertex"):
            has = self.values.get(f"{head}_head", head in ("semantic", "filter"))
            if head in heads and has is not True:
                raise WeightsError(f"trained without the {head} head, which the service needs")
            if head not in heads and has is True:
                raise WeightsError(f"trained with the {head} head, which the service lacks")


@dataclass(frozen=True, slots=True)
class Generation:
    """A kind of network, with its checkpoints.

    Attributes:
        title: for people.
        matches: tells its checkpoints by the names and shapes of their tensors.
        make: makes network and card from a checkpoint, a file with constants of normalisation (or
            None) and a notice; raises `WeightsError` for one that differs, and says how.
    """

    title: str
    matches: Callable[[Tensors], bool]
    make: Callable[[Checkpoint, Path | None, str], tuple[torch.nn.Module, ModelCard]]


def read(path: Path) -> Checkpoint:
    """Read a Lightning checkpoint without running anything in it.

    Raises:
        WeightsError: the file is not one, or asks to run code.
    """
    found = read_checkpoint(path, _IGNORED)
    if not isinstance(found, dict) or not isinstance(found.get("hyper_parameters"), dict):
        raise WeightsError("not a Lightning checkpoint: it has no hyper_parameters")
    content = cast("dict[str, Any]", found)
    return Checkpoint(
        path=path,
        tensors={
            name: tensor.float() if tensor.is_floating_point() else tensor
            for name, tensor in state_dict_of(content).items()
            if not name.endswith("_decoder.temp")
        },
        values=content["hyper_parameters"],
        origin={
            "checkpoint": path.name,
            "checkpoint_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "epoch": str(content.get("epoch", -1)),
            "pytorch_lightning": str(content.get("pytorch-lightning_version", "")),
        },
    )


def generation_of(checkpoint: Checkpoint) -> Generation:
    """Return the generation of a checkpoint's network.

    Raises:
        WeightsError: it is of none that Naiad knows; names some of its tensors.
    """
    for generation in GENERATIONS:
        if generation.matches(checkpoint.tensors):
            return generation
    known = ", ".join(generation.title for generation in GENERATIONS)
    some = ", ".join(list(checkpoint.tensors)[:3]) or "none"
    raise WeightsError(f"not a checkpoint of {known}, by the names of its tensors: {some}")


def network(net: Net, tensors: Tensors, card: NuGraphCard) -> Net:
    """Give a network its parameters, and the normalisation of its card."""
    net.load_state_dict(dict(tensors))
    net.set_normalisation(card.mean, card.std)
    return net


def _has(name: str) -> Callable[[Tensors], bool]:
    """Match networks with tensors of names that start so."""
    return lambda tensors: any(one.startswith(name) for one in tensors)


def _nugraph3(
    found: Checkpoint, normalisation: Path | None, notice: str
) -> tuple[NuGraph3Net, NuGraph3Card]:
    found.require_heads("event", "semantic", "filter", "vertex")
    semantic, event = found.names("semantic_classes"), found.names("event_classes")
    sizes = ("in_features", "planar_features", "nexus_features", "interaction_features")
    card = NuGraph3Card(
        architecture=Architecture(
            planes=found.names("planes"),
            semantic_classes=len(semantic),
            event_classes=len(event),
            **{name: found.values.get(name, 0) for name in (*sizes, "num_iters")},
        ),
        semantic_classes=semantic,
        event_classes=event,
        notice=notice,
        **_constants(found, normalisation),
    )
    check_tensors(found.tensors, parameter_shapes(card.architecture), "state_dict")
    return network(NuGraph3Net(card.architecture), found.tensors, card), card


def _nugraph2(
    found: Checkpoint, normalisation: Path | None, notice: str
) -> tuple[NuGraph2Net, NuGraph2Card]:
    found.require_heads("semantic", "filter")
    # Early versions of the code call them "classes".
    classes = found.names("semantic_classes", "classes")
    tensors = _numbered(found.tensors, classes)
    planes = found.names("planes")

    def size(name: str) -> tuple[int, int]:
        if name not in tensors or tensors[name].ndim != 2:
            raise WeightsError(f"state_dict has no matrix {name}: not the weights of this network")
        out, features = tensors[name].shape
        return out, features

    planar, given = size(f"encoder.net.{planes[0] if planes else ''}.0.net.0.weight")
    architecture = NuGraph2Architecture(
        planes=planes,
        semantic_classes=len(classes),
        in_features=given,
        planar_features=planar,
        nexus_features=size("nexus_net.nexus_net.2.net.0.weight")[0],
        num_iters=found.values.get("num_iters", 0),
    )
    check_tensors(tensors, nugraph2_shapes(architecture), "state_dict")
    card = NuGraph2Card(
        architecture=architecture,
        semantic_classes=classes,
        notice=notice,
        **_constants(found, normalisation),
    )
    return network(NuGraph2Net(architecture), tensors, card), card


def _numbered(tensors: Tensors, classes: Sequence[str]) -> dict[str, torch.Tensor]:
    """Return tensors with the numbers of classes in place of their names, if they have names."""

    def number(match: re.Match[str]) -> str:
        name, kind = match.groups()
        return f".net.{classes.index(name) if name in classes else name}.{kind}"

    pattern = re.compile(r"\.net\.([^.]+)\.(weight|bias)$")
    return {pattern.sub(number, name): tensor for name, tensor in tensors.items()}


def _constants(found: Checkpoint, normalisation: Path | None) -> dict[str, Any]:
    """Return the card's normalisation and provenance."""
    file = normalisation or UBOONE_NORMALISATION
    constants = read_json(file, Normalisation)
    return {
        "mean": constants.mean,
        "std": constants.std,
        "provenance": {**found.origin, "normalisation": file.name},
    }


GENERATIONS: Final[Sequence[Generation]] = (
    Generation(NuGraph2Card.title, _has("nexus_net.nexus_down."), _nugraph2),
    Generation("NuGraph3 of 2024", _has("core_net.plane_net.convs."), _nugraph3),
    Generation(CondensationCard.title, _has("core_net.plane_net.net."), from_checkpoint),
)
"""The networks whose checkpoints are imported."""
