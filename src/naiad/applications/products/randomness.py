"""Random numbers that depend only on their purpose, not on order or history.

SplitMix64 (Steele, Lea and Flood, OOPSLA 2014, https://doi.org/10.1145/2660193.2660195): the i-th
number of a stream is a bijective mix of its state plus i times a constant. Each hop and node has a
stream with its own mixed initial state.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

GOLDEN: Final = 0x9E3779B97F4A7C15
MIX_1: Final = 0xBF58476D1CE4E5B9
MIX_2: Final = 0x94D049BB133111EB

_MASK: Final = (1 << 64) - 1
_GOLDEN, _MIX_1, _MIX_2 = np.uint64(GOLDEN), np.uint64(MIX_1), np.uint64(MIX_2)
_30, _27, _31 = np.uint64(30), np.uint64(27), np.uint64(31)


def mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Apply SplitMix64's finaliser to each number; arithmetic is modulo 2**64."""
    z = (z ^ (z >> _30)) * _MIX_1
    z = (z ^ (z >> _27)) * _MIX_2
    return z ^ (z >> _31)


def hop_state(seed: int, hop: int) -> int:
    """Return the state from which all streams of a hop start: a uint64."""
    return _mix(_mix(seed & _MASK) + hop * GOLDEN)


def streams(state: int, nodes: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return the state of each node's stream: uint64 ``[nodes]``."""
    return mix(np.uint64(state) + nodes.astype(np.uint64) * _GOLDEN)


def draw(own: NDArray[np.uint64], number: int) -> NDArray[np.uint64]:
    """Return the number at position ``number``, from 0, of each stream."""
    return mix(own + np.uint64((number + 1) * GOLDEN & _MASK))


def _mix(z: int) -> int:
    z &= _MASK
    z = (z ^ (z >> 30)) * MIX_1 & _MASK
    z = (z ^ (z >> 27)) * MIX_2 & _MASK
    return z ^ (z >> 31)
