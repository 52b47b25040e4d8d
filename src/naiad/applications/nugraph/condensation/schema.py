"""The schemas of NuGraph3 with object condensation; its outputs are those of its heads.

Names that :mod:`naiad.applications.nugraph.schema` has mean the same here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from naiad.applications.nugraph import heads as wire
from naiad.applications.nugraph import schema
from naiad.applications.nugraph.condensation.card import HEADS, CondensationCard
from naiad.applications.nugraph.schema import PLANES
from naiad.core.schema import Schema, Tensor

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

_PARTICLE: Final = "particle"
"""What is found after the network, from its other answers."""

_WIRE_HEADS: Final[Mapping[str, tuple[str, ...]]] = {
    **{head: (head,) for head in HEADS},
    "instance": ("condensation", "coordinates", _PARTICLE),
    "spacepoint": ("position",),
}
"""Names in :data:`naiad.applications.nugraph.heads.HEADS` of what each head of a network gives."""

_UNKNOWN_HITS: Final = replace(
    schema.UNKNOWN_HITS, doc="spacepoint entries that name no hit, which were left out"
)
_PLANE_OF_HIT: Final = Tensor("int64", ("hits",), doc="wire plane of each hit")


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
    names = [name for name in given(card.heads) if name != _PARTICLE]
    first = f"_{PLANES[0]}"
    found = {
        name.removesuffix(first): replace(tensor, dims=("hits", *tensor.dims[1:]))
        if name.endswith(first)
        else tensor
        for name, tensor in _tensors(card, names, PLANES[:1]).items()
    }
    return {**found, "hit_plane": _PLANE_OF_HIT, "unknown_hits": _UNKNOWN_HITS}


def outputs(card: CondensationCard) -> Schema:
    """Return the schema of the answer to a client: hits are by plane, in table order."""
    return {**_tensors(card, given(card.heads), PLANES), "unknown_hits": _UNKNOWN_HITS}


def given(heads: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of what heads of a network give.

    They are those of :data:`naiad.applications.nugraph.heads.HEADS`.
    """
    return tuple(name for head in heads for name in _WIRE_HEADS[head])


def left_out(card: CondensationCard) -> dict[str, str]:
    """Return the outputs that other networks of this kind have, and why this one lacks them."""
    absent: dict[str, str] = {}
    for head in HEADS:
        if head not in card.heads:
            article = "an" if head[0] in "aeiou" else "a"
            reason = f"this checkpoint was trained without {article} {head} head"
            for name in given((head,)):
                absent |= dict.fromkeys(wire.HEADS[name].outputs(PLANES), reason)
    return absent


def _tensors(card: CondensationCard, names: Iterable[str], planes: Sequence[str]) -> Schema:
    sizes = card.architecture
    columns = {
        "event": sizes.event_classes,
        "semantic": sizes.semantic_classes,
        "coordinates": sizes.instance_features,
    }
    return wire.output_tensors(names, planes, columns)
