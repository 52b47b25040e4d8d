"""Grouping of texts of similar length, so that hardly any padding is computed.

A network takes a rectangle of tokens. Texts are sorted by length and cut into runs such that the
padding in a run costs no more than the run it saves, and no run exceeds a budget of tokens.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Integers: TypeAlias = "NDArray[np.integer[Any]]"

MOST_TOKENS: Final = 1024
"""Tokens of a run, with padding. From about 128 on, all-MiniLM-L6-v2 takes the same time per token
on a CPU, so larger runs would only take more memory."""

RUN_COST: Final = 12
"""Fixed cost of a run in tokens, measured with all-MiniLM-L6-v2."""


def buckets(
    lengths: Integers, most: int = MOST_TOKENS, run_cost: int = RUN_COST
) -> list[NDArray[np.int64]]:
    """Return the indices of the texts in each run, the longest first.

    Args:
        lengths: tokens of each text, integers ``[texts]``; texts of length 0 are in no run.
        most: maximum tokens of a run, with padding; a longer text is a run by itself.
        run_cost: tokens of padding that are cheaper than another run.
    """
    order = np.argsort(-lengths, kind="stable")
    runs: list[list[int]] = []
    longest = padding = 0
    for number, length in zip(order.tolist(), lengths[order].tolist(), strict=True):
        if length == 0:
            break
        padding += longest - length
        if not runs or padding > run_cost or (len(runs[-1]) + 1) * longest > most:
            runs.append([])
            longest, padding = length, 0
        runs[-1].append(number)
    return [np.array(run, np.int64) for run in runs]
