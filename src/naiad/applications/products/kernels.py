"""The inner loops of :mod:`naiad.applications.products.sampler`, compiled by Numba.

Numba promotes an int64 and a uint64 to a float, so every constant that meets a hash is a uint64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from naiad.applications.products import randomness
from naiad.applications.products.kernel_cache import kernel_cache
from naiad.applications.products.randomness import GOLDEN, MIX_1, MIX_2

_GOLDEN, _MIX_1, _MIX_2 = np.uint64(GOLDEN), np.uint64(MIX_1), np.uint64(MIX_2)
_30, _27, _31 = np.uint64(30), np.uint64(27), np.uint64(31)


def _mix(z: Any) -> Any:
    z = (z ^ (z >> _30)) * _MIX_1
    z = (z ^ (z >> _27)) * _MIX_2
    return z ^ (z >> _31)


def _hop(
    indptr: Any, indices: Any, nodes: Any, known: Any, fanout: Any, state: Any, place: Any
) -> Any:
    """Sample one hop: see :meth:`naiad.applications.products.sampler.Sampler.sample`.

    ``nodes`` has ``known`` nodes and room for more; ``place`` is the position in ``nodes`` of each
    node of the graph, or -1.
    """
    edges = 0
    for target in range(known):
        node = nodes[target]
        edges += min(fanout, indptr[node + 1] - indptr[node])
    source = np.empty(edges, np.int64)
    targets = np.empty(edges, np.int64)
    chosen = np.empty(fanout, np.int64)
    found = known
    edge = 0
    for target in range(known):
        node = nodes[target]
        first = indptr[node]
        degree = indptr[node + 1] - first
        count = min(fanout, degree)
        own = mix(state + np.uint64(node) * _GOLDEN)
        for draw in range(count):
            pick = draw
            if degree > fanout:
                last = degree - fanout + draw
                own += _GOLDEN
                pick = np.int64(mix(own) % np.uint64(last + 1))
                for earlier in range(draw):
                    if chosen[earlier] == pick:
                        pick = last
                        break
                chosen[draw] = pick
            neighbour = np.int64(indices[first + pick])
            if place[neighbour] < 0:
                place[neighbour] = found
                nodes[found] = neighbour
                found += 1
            source[edge] = place[neighbour]
            targets[edge] = target
            edge += 1
    return found, source, targets


with kernel_cache(__file__, randomness.__file__):
    mix = njit(cache=True, inline="always")(_mix)
    hop = njit(cache=True)(_hop)
