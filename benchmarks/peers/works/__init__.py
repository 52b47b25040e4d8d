"""The networks to serve: requests, and an answer to several at once, as users of a peer write it.

Each module has a `Work` named WORK. Its ``load`` runs in every peer's processes, and must not need
more than ``requirements/works.txt`` lists.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module

from benchmarks.peers.codec import Arrays

Predict = Callable[[Sequence[Arrays]], list[Arrays]]
"""Answers requests, merged into one call of the network where that pays."""

NAMES = ("echo", "molecules", "gat", "nugraph3", "minilm", "mednist")


@dataclass(frozen=True, slots=True)
class Work:
    """A network with its requests.

    Attributes:
        title: words for the table.
        pipeline: what Naiad serves, as `naiad.serve` takes it.
        tolerance: largest difference between answers, absolute and relative to the values.
        batch: most requests that a peer merges.
        most: largest sum of ``size`` that a peer merges, if it can limit that.
        size: of a request, such as its nodes.
        make: requests for the load generator, by their number.
        load: sets the network up in this process.
    """

    title: str
    pipeline: str
    tolerance: float
    batch: int
    most: int
    size: Callable[[Arrays], int]
    make: Callable[[int], list[Arrays]]
    load: Callable[[], Predict]


def find_work(name: str) -> Work:
    """Return the work of one of `NAMES`."""
    return import_module(f"{__name__}.{name}").WORK
