"""Edges in memory, as compressed sparse rows, for what a database takes long to join.

A published state never changes, so that they are read from it once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from naiad.applications.store.schema import Key

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

    def at(self, numbers: Iterable[int]) -> NDArray[np.int32]:
        """The lists of some numbers, one after the other."""
        parts = [self.values[self.starts[i] : self.starts[i + 1]] for i in numbers]
        return np.concatenate(parts) if parts else self.values[:0]


class Numbered:
    """The keys of a table's nodes, in the order of their numbers."""

    def __init__(self, keys: list[Key]) -> None:
        self.keys = keys
        self._numbers = {key: number for number, key in enumerate(keys)}

    def numbers_of(self, keys: Iterable[Key]) -> list[int]:
        """The numbers of those of ``keys`` that there are."""
        return [self._numbers[key] for key in keys if key in self._numbers]


class Edges:
    """The edges of a table, or those of them that fulfil conditions.

    Args:
        sources: its first nodes.
        targets: its second nodes.
        ends: numbers of both nodes of each edge.
        properties: columns with a value for each edge, in the order of the table's properties.
    """

    def __init__(
        self,
        sources: Numbered,
        targets: Numbered,
        ends: tuple[Ints, Ints],
        properties: Sequence[Any],
    ) -> None:
        self._nodes = {"source": sources, "target": targets}
        self._ends = ends
        self._properties = properties
        rows = np.arange(len(ends[0]))
        self._rows = {
            side: Rows.of(end, rows, len(nodes.keys))
            for (side, nodes), end in zip(self._nodes.items(), ends, strict=True)
        }

    def links(self, keys: list[Key], side: str, limit: int) -> list[list[Any]]:
        """Those whose source (or target) is among ``keys``, by source and target."""
        rows = self._rows[side].at(self._nodes[side].numbers_of(keys))
        sources, targets = (
            [nodes.keys[number] for number in end[rows].tolist()]
            for nodes, end in zip(self._nodes.values(), self._ends, strict=True)
        )
        pairs = zip(sources, targets, rows.tolist(), strict=True)
        return [
            [source, target, *(column[row].as_py() for column in self._properties)]
            for source, target, row in sorted(pairs, key=lambda pair: pair[:2])[:limit]
        ]


@dataclass(frozen=True, slots=True)
class Adjacency:
    """Nodes of a table and their neighbours.

    Attributes:
        nodes: of the table.
        neighbours: by node.
        beside: nodes, by neighbour.
    """

    nodes: Numbered
    neighbours: Rows
    beside: Rows

    @classmethod
    def of(cls, nodes: Numbered, pairs: Iterable[tuple[Ints, Ints]], reached: int) -> Adjacency:
        """Of pairs of a node and a neighbour, both by number; the neighbours are ``reached``."""
        node, neighbour = (np.concatenate(side) for side in zip(*pairs, strict=True))
        once = np.unique(node * reached + neighbour)  # two may be beside each other more than once
        node, neighbour = np.divmod(once, max(reached, 1))
        return cls(
            nodes,
            Rows.of(node, neighbour, len(nodes.keys)),
            Rows.of(neighbour, node, reached),
        )

    def common(self, keys: list[Key], limit: int) -> list[tuple[Key, int]]:
        """Other nodes by how many neighbours they share with any of ``keys``, then by key."""
        given = self.nodes.numbers_of(keys)
        counts = np.bincount(
            self.beside.at(np.unique(self.neighbours.at(given)).tolist()),
            minlength=len(self.nodes.keys),
        )
        counts[given] = 0
        found = np.flatnonzero(counts)
        if len(found) > limit:
            least = np.partition(counts[found], -limit)[-limit]
            found = found[counts[found] >= least]
        best = sorted((-int(counts[number]), self.nodes.keys[number]) for number in found.tolist())
        return [(key, -count) for count, key in best[:limit]]
