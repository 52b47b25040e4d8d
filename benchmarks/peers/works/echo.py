"""1 KB there and back: what a server costs without a network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from benchmarks.peers.codec import Arrays
from benchmarks.peers.works import Predict, Work

_VALUES = 256  # of 4 bytes


def make(number: int) -> list[Arrays]:
    rng = np.random.default_rng(0)
    return [{"x": rng.random(_VALUES, np.float32)} for _ in range(number)]


def load() -> Predict:
    def predict(requests: Sequence[Arrays]) -> list[Arrays]:
        return [{"y": request["x"]} for request in requests]

    return predict


WORK = Work(
    title="echo of 1 KB",
    pipeline="benchmarks.overhead.echo:Echo",
    tolerance=0.0,
    batch=64,
    most=64 * _VALUES,
    size=lambda request: len(request["x"]),
    make=make,
    load=load,
)
