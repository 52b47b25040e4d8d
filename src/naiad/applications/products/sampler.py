"""The sampler of the neighbours that a product's answer is computed from.

GraphSAGE (Hamilton, Ying and Leskovec, arXiv:1706.02216) uses a bounded number of neighbours per
node. A node with more neighbours than the hop's fan-out gets a uniform sample of that size, without
replacement (Floyd's algorithm: Bentley and Floyd, CACM 30(9), 1987; taking 64 random bits modulo a
degree has a bias below 1e-9). A node with fewer gets them all.

The sample is a function of the request's seed, the hop and the node alone, so a product gets the
same answer in any request, order and batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from naiad.applications.products.randomness import draw, hop_state, streams

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Neighbourhood:
    """The part of a graph that some products' answers depend on.

    Attributes:
        nodes: the nodes' numbers in the graph, the requested ones first: int64 ``[nodes]``.
        node_hop: the hop at which each was found, 0 for requested ones: int8 ``[nodes]``.
        edge_index: from a neighbour (row 0) to the node that sampled it (row 1), as positions in
            ``nodes``; sorted by hop, then by row 1: int64 ``[2, edges]``.
        edge_hop: the hop of each edge, from 1: int8 ``[edges]``.
    """

    nodes: Ints
    node_hop: NDArray[np.int8]
    edge_index: Ints
    edge_hop: NDArray[np.int8]


class _Hop(Protocol):
    """A function that samples neighbours of known nodes; returns all nodes and the edges' ends."""

    def __call__(self, nodes: Ints, fanout: int, state: int) -> tuple[Ints, Ints, Ints]: ...


class Sampler:
    """A sampler of neighbourhoods in a CSR graph, which uses Numba if installed.

    The arrays may be memory maps; only what is needed is read. Not thread-safe.
    """

    def __init__(
        self,
        indptr: NDArray[Any],
        indices: NDArray[Any],
        fanouts: Sequence[int],
        *,
        compiled: bool | None = None,
    ) -> None:
        """Sample from ``indices[indptr[node]:indptr[node + 1]]``, the neighbours of each node.

        Args:
            indptr: where each node's neighbours begin: int64 ``[nodes + 1]``.
            indices: the neighbours: int32 or int64 ``[edges]``.
            fanouts: maximum number of neighbours per node at each hop, the nearest hop first.
            compiled: use Numba (True) or NumPy (False); by default Numba if installed. Both give
                the same samples.
        """
        self.fanouts = tuple(fanouts)
        use_numba = find_spec("numba") is not None if compiled is None else compiled
        make = _compiled_hop if use_numba else _numpy_hop
        self._hop: _Hop = make(indptr, indices)

    def sample(self, nodes: Ints, seed: int) -> Neighbourhood:
        """Sample the neighbourhood of ``nodes``, which must be in the graph and unique.

        Each hop samples neighbours of all nodes found so far, because every layer of the network
        mixes each node with its neighbours again.
        """
        known = np.ascontiguousarray(nodes, np.int64)
        counts, sources, targets = [len(known)], list[Ints](), list[Ints]()
        for number, fanout in enumerate(self.fanouts, start=1):
            known, source, target = self._hop(known, fanout, hop_state(seed, number))
            counts.append(len(known))
            sources.append(source)
            targets.append(target)
        hops = np.arange(len(counts), dtype=np.int8)
        return Neighbourhood(
            nodes=known,
            node_hop=np.repeat(hops, np.diff(counts, prepend=0)),
            edge_index=np.stack([np.concatenate(sources), np.concatenate(targets)]),
            edge_hop=np.repeat(hops[1:], [len(source) for source in sources]),
        )


def _compiled_hop(indptr: NDArray[Any], indices: NDArray[Any]) -> _Hop:
    from naiad.applications.products import kernels

    compiled: Callable[..., tuple[int, Ints, Ints]] = kernels.hop
    place = np.full(len(indptr) - 1, -1, np.int32)

    def hop(nodes: Ints, fanout: int, state: int) -> tuple[Ints, Ints, Ints]:
        room = np.empty(len(nodes) * (1 + fanout), np.int64)
        room[: len(nodes)] = nodes
        place[nodes] = np.arange(len(nodes), dtype=np.int32)
        found, source, target = compiled(
            indptr, indices, room, len(nodes), fanout, np.uint64(state), place
        )
        place[room[:found]] = -1
        return room[:found], source, target

    return hop


def _numpy_hop(indptr: NDArray[Any], indices: NDArray[Any]) -> _Hop:
    def hop(nodes: Ints, fanout: int, state: int) -> tuple[Ints, Ints, Ints]:
        first = indptr[nodes].astype(np.int64)
        degree = indptr[nodes + 1] - first
        picks = np.tile(np.arange(fanout, dtype=np.int64), (len(nodes), 1))
        many = np.flatnonzero(degree > fanout)
        own = streams(state, nodes[many])
        for number in range(fanout):
            last = degree[many] - fanout + number
            pick = (draw(own, number) % (last + 1).astype(np.uint64)).astype(np.int64)
            taken = (picks[many, :number] == pick[:, None]).any(axis=1)
            picks[many, number] = np.where(taken, last, pick)
        there = np.arange(fanout) < degree[:, None]
        target = np.nonzero(there)[0]
        neighbours = indices[(first[:, None] + picks)[there]].astype(np.int64)
        every = np.concatenate([nodes, neighbours])
        _, at, inverse = np.unique(every, return_index=True, return_inverse=True)
        # In the order they were found, which starts with the known nodes.
        order = np.argsort(at)
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        return every[at[order]], rank[inverse[len(nodes) :]], target

    return hop
