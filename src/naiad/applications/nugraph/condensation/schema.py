"""The schemas of NuGraph3 with object condensation; its outputs are those of its heads.

Names that :mod:`naiad.applications.nugraph.schema` has mean the same here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from naiad.applications.nugraph import schema
from naiad.applications.nugraph.condensation.card import HEADS, CondensationCard
from naiad.applications.nugraph.schema import PLANES
from naiad.core.schema import REQUESTS, Schema, Tensor

INPUTS: Final = {
    **schema.INPUTS,
    "hit_table_tpc": Tensor(
        "int32",
        ("hits",),
        optional=True,
        default=0,
        doc="number of the hit's time-projection chamber; graphs of the first generation have none",
    ),
}
"""One event: its hits on all planes and the spacepoints that match them across planes."""

_UNKNOWN_HITS: Final = Tensor(
    "int32", (REQUESTS,), doc="spacepoint entries that name no hit, which were left out"
)
_PLANE_OF_HIT: Final = Tensor("int64", ("hits",), doc="wire plane of each hit")
_LABEL: Final = "i"
"""The output that is not the network's own: it is found from the others."""

OUTPUTS_OF: Final[Mapping[str, tuple[str, ...]]] = {
    "event": ("e_evt",),
    "semantic": ("x_semantic",),
    "filter": ("x_filter",),
    "vertex": ("v_evt",),
    "instance": ("of", "ox", _LABEL),
    "spacepoint": ("x_position",),
}
"""Outputs of each head; those of hits without their plane."""


def sample(features: int) -> Schema:
    """Return the schema of a prepared event: a graph of hits, spacepoints and the event itself.

    Hits are in the graph's order: that of the table, in the first generation by plane first.

    Args:
        features: number of features of a hit.
    """
    return {
        "x": Tensor("float32", ("hits", features), doc="features of each hit; not normalised"),
        "hit_plane": _PLANE_OF_HIT,
        "plane_edge": Tensor(
            "int64",
            (2, "plane_edges"),
            index_into="hits",
            doc="Delaunay edges of all planes, both directions; source and target hit",
        ),
        "nexus_edge": Tensor(
            "int64",
            (2, "nexus_edges"),
            index_into=("hits", "spacepoints"),
            doc="hit and spacepoint, at most three per spacepoint",
        ),
        "sp_event": schema.SAMPLE["sp_event"],
        "unknown_hits": _UNKNOWN_HITS,
    }


def result(card: CondensationCard) -> Schema:
    """Return the schema of what the network finds in a batch, with hits in the graph's order."""
    found = {name: tensor for name, tensor in _found(card).items() if name != _LABEL}
    return {**found, "hit_plane": _PLANE_OF_HIT, "unknown_hits": _UNKNOWN_HITS}


def outputs(card: CondensationCard) -> Schema:
    """Return the schema of the answer to a client: hits are by plane, in table order."""
    answer: dict[str, Tensor] = {}
    for name, tensor in _found(card).items():
        if tensor.dims[0] == REQUESTS:
            answer[name] = tensor
            continue
        for plane in PLANES:
            answer[f"{name}_{plane}"] = replace(
                tensor,
                dims=(f"hits_{plane}", *tensor.dims[1:]),
                doc=tensor.doc.replace("each hit", f"each hit on plane {plane}, in table order"),
            )
    return {**answer, "unknown_hits": _UNKNOWN_HITS}


def left_out(card: CondensationCard) -> dict[str, str]:
    """Return the outputs that other networks of this kind have, and why this one lacks them."""
    absent: dict[str, str] = {}
    for head in HEADS:
        if head in card.heads:
            continue
        article = "an" if head[0] in "aeiou" else "a"
        reason = f"this checkpoint was trained without {article} {head} head"
        for name in OUTPUTS_OF[head]:
            names = [name] if name.endswith("_evt") else [f"{name}_{plane}" for plane in PLANES]
            absent |= dict.fromkeys(names, reason)
    return absent


def _found(card: CondensationCard) -> dict[str, Tensor]:
    """Return the outputs of the card's heads, of all hits together."""
    sizes = card.architecture
    known = {
        "e_evt": Tensor(
            "float32",
            (REQUESTS, max(sizes.event_classes, 1)),
            # As the contract of the networks before this one has it; served is [1, classes].
            declared=(max(sizes.event_classes, 1),),
            doc="score (logit) per event class",
        ),
        "x_semantic": Tensor(
            "float32",
            ("hits", max(sizes.semantic_classes, 1)),
            doc="score (logit) per semantic class of each hit",
        ),
        "x_filter": Tensor("float32", ("hits",), doc="probability that each hit is signal"),
        "v_evt": schema.OUTPUTS["v_evt"],
        "of": Tensor(
            "float32",
            ("hits",),
            doc="condensation score (beta, 0 to 1) of each hit; highest where it stands for a "
            "particle",
        ),
        "ox": Tensor(
            "float32",
            ("hits", sizes.instance_features),
            doc="condensation coordinates of each hit; those of a particle are close together",
        ),
        _LABEL: Tensor(
            "int32",
            ("hits",),
            doc="particle of each hit; numbered per event across planes, -1 for none",
        ),
        "x_position": Tensor(
            "float32", ("hits", 3), unit="cm", doc="position x, y, z in the detector of each hit"
        ),
    }
    given = {name for head in card.heads for name in OUTPUTS_OF[head]}
    return {name: tensor for name, tensor in known.items() if name in given}
