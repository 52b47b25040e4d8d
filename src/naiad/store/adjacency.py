"""Who is beside whom, in arrays: what :meth:`naiad.store.Store.common` counts on.

Two compressed sparse rows: the neighbours of each node of a table, and the nodes beside each
neighbour. A published state never changes, so that they are made of it once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from naiad.store.protocol import Common
from naiad.store.schema import Key

Ints: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Rows:
    """Lists of numbers: ``values[starts[i]:starts[i + 1]]`` is that of ``i``."""

    starts: Ints
    values: NDArray[np.int32]

    @classmethod
    def of(cls, source: Ints, target: Ints, number: int) -> Rows:
        """The targets of each of ``number`` sources."""
        order = np.argsort(source, kind="stable")
        starts = np.zeros(number + 1, np.int64)
        np.cumsum(np.bincount(source, minlength=number), out=starts[1:])
        return cls(starts, target[order].astype(np.int32))

    def at(self, numbers: Ints) -> NDArray[np.int32]:
        """The lists of some numbers, one after the other."""
        parts = [self.values[self.starts[i] : self.starts[i + 1]] for i in numbers.tolist()]
        return np.concatenate(parts) if parts else self.values[:0]


@dataclass(frozen=True, slots=True)
class Adjacency:
    """Nodes of a table and their neighbours.

    Attributes:
        keys: of the nodes, in the order of their numbers.
        numbers: the number of each key.
        neighbours: by node.
        beside: nodes, by neighbour.
    """

    keys: list[Key]
    numbers: dict[Key, int]
    neighbours: Rows
    beside: Rows

    @classmethod
    def of(cls, keys: list[Key], pairs: Iterable[tuple[Ints, Ints]], reached: int) -> Adjacency:
        """Of pairs of a node and a neighbour, both by number; the neighbours are ``reached``."""
        node, neighbour = (np.concatenate(side) for side in zip(*pairs, strict=True))
        once = np.unique(node * reached + neighbour)  # two may be beside each other more than once
        node, neighbour = np.divmod(once, reached)
        return cls(
            keys,
            {key: number for number, key in enumerate(keys)},
            Rows.of(node, neighbour, len(keys)),
            Rows.of(neighbour, node, reached),
        )

    def common(self, keys: list[Key], limit: int) -> list[Common]:
        """Other nodes by how many neighbours they share with any of ``keys``, then by key."""
        given = np.array([self.numbers[key] for key in keys if key in self.numbers], np.int64)
        counts = np.bincount(
            self.beside.at(np.unique(self.neighbours.at(given)).astype(np.int64)),
            minlength=len(self.keys),
        )
        counts[given] = 0
        found = np.flatnonzero(counts)
        if len(found) > limit:
            least = np.partition(counts[found], -limit)[-limit]
            found = found[counts[found] >= least]
        best = sorted((-int(counts[number]), self.keys[number]) for number in found.tolist())
        return [Common(key, -count) for count, key in best[:limit]]
