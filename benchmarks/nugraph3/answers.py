"""Comparison of answers, within the tolerances of the original."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import numpy as np
from benchmarks.nugraph3.sides import Side

import naiad
from naiad.core.schema import Arrays

TOLERANCES = {"e_evt": 1e-4, "x_semantic": 1e-4, "x_filter": 1e-5, "v_evt": 5e-4}
"""Absolute tolerances by the prefix of an output's name."""


async def ask(side: Side, requests: Sequence[Arrays], *, at_once: int) -> list[Arrays]:
    """Return the answers of ``side`` with a number of concurrent requests."""
    free = asyncio.Semaphore(at_once)
    async with naiad.AsyncClient(side.url, timeout=120.0) as client:

        async def one(request: Arrays) -> Arrays:
            async with free:
                return await client.infer(side.model, request)

        return await asyncio.gather(*map(one, requests))


def largest_difference(
    one: Iterable[Arrays], other: Iterable[Arrays]
) -> tuple[float, dict[str, float]]:
    """Return the largest difference by kind of output, as a share of its tolerance."""
    worst = dict.fromkeys(TOLERANCES, 0.0)
    for a, b in zip(one, other, strict=True):
        for name in a.keys() & b.keys():
            for kind in TOLERANCES:
                if name.startswith(kind):
                    if a[name].shape != b[name].shape:
                        raise RuntimeError(f"{name} is {a[name].shape} and {b[name].shape}")
                    difference = np.abs(a[name].astype(np.float64) - b[name])
                    # NaN is a difference, too.
                    largest = float(np.nan_to_num(difference, nan=np.inf).max(initial=0.0))
                    worst[kind] = max(worst[kind], largest)
    return max(worst[kind] / TOLERANCES[kind] for kind in TOLERANCES), worst
