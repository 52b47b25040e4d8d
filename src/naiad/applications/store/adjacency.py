"""Edges in memory, as compressed sparse rows, for joins that a database is slow at.

A published state never changes, so each is read once.
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
    """Lists of numbers; the list of ``i`` is ``values[starts[i]:starts[i + 1]]``."""

    starts: Ints
    values: NDArray[np.int32]

    @classmethod
    def of(cls, source: Ints, target: Ints, number: int) -> Rows:
        """Group the targets by source, for sources 0 to ``number - 1``."""
        order = np.argsort(source, kind="stable")
        starts = np.zeros(number + 1, np.int64)
        np.cumsum(np.bincount(source, minlength=number), out=starts[1:])
        return cls(starts, target[order].astype(np.int32))

    def at(self, numbers: Iterable[int]) -> NDArray[np.int32]:
        """Return the lists of ``numbers``, concatenated."""
        parts = [self.values[self.starts[i] : self.starts[i + 1]] for i in numbers]
        return np.concatenate(parts) if parts else self.values[:0]


class Numbered:
    """The keys of a table's nodes, in the order of their numbers."""

    def __init__(self, keys: list[Key]) -> None:
        self.keys = keys
        self._numbers = {key: number for number, key in enumerate(keys)}

    def numbers_of(self, keys: Iterable[Key]) -> list[int]:
        """Return the numbers of ``keys``, leaving out keys that are not in the table."""
        return [self._numbers[key] for key in keys if key in self._numbers]


class Edges:
    """The edges of a table, all or those that meet conditions.

    Args:
        sources: the nodes of the source table.
        targets: the nodes of the target table.
        ends: the numbers of each edge's source and target.
        properties: columns with a value per edge, in the order of the table's properties.
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
        """Return the edges whose source (or target) is among ``keys``, by source and target."""
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
    """The nodes of a table and their neighbours.

    Attributes:
        nodes: the nodes of the table.
        neighbours: the neighbours of each node.
        beside: the nodes of each neighbour.
    """

    nodes: Numbered
    neighbours: Rows
    beside: Rows

    @classmethod
    def of(cls, nodes: Numbered, pairs: Iterable[tuple[Ints, Ints]], reached: int) -> Adjacency:
        """Build from pairs of node and neighbour numbers; there are ``reached`` neighbours."""
        node, neighbour = (np.concatenate(side) for side in zip(*pairs, strict=True))
        once = np.unique(node * reached + neighbour)  # a pair may have several edges
        node, neighbour = np.divmod(once, max(reached, 1))
        return cls(
            nodes,
            Rows.of(node, neighbour, len(nodes.keys)),
            Rows.of(neighbour, node, reached),
        )

    def common(
        self, keys: list[Key], limit: int, among: list[Key] | None = None
    ) -> list[tuple[Key, int]]:
        """Rank other nodes by the number of neighbours shared with any of ``keys``, then by key.

        Args:
            keys: the given nodes.
            limit: maximum number of nodes.
            among: the nodes to rank; None for all.
        """
        given = self.nodes.numbers_of(keys)
        counts = np.bincount(
            self.beside.at(np.unique(self.neighbours.at(given)).tolist()),
            minlength=len(self.nodes.keys),
        )
        counts[given] = 0
        found = np.flatnonzero(counts)
        if among is not None:
            found = np.intersect1d(found, self.nodes.numbers_of(among))
        if len(found) > limit:
            least = np.partition(counts[found], -limit)[-limit]
            found = found[counts[found] >= least]
        best = sorted((-int(counts[number]), self.nodes.keys[number]) for number in found.tolist())
        return [(key, -count) for count, key in best[:limit]]
