"""The rows of a store's answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from naiad.applications.store.schema import Key


@dataclass(frozen=True, slots=True)
class Link:
    """One edge.

    Attributes:
        edge: the name of its table.
        source: the key of its first node.
        target: the key of its second.
        properties: by name, None for those it lacks.
    """

    edge: str
    source: Key
    target: Key
    properties: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A node that can be reached; ``hops`` is the length of a shortest path to it."""

    key: Key
    hops: int


@dataclass(frozen=True, slots=True)
class Common:
    """A node and the number of neighbours it has in ``common`` with given nodes."""

    key: Key
    common: int


@dataclass(frozen=True, slots=True)
class Hit:
    """A node whose vector is near: ``score`` is the cosine, -1 to 1."""

    key: Key
    score: float
