"""The CPU time of pieces of work, measured in turn."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import TypeAlias

Work: TypeAlias = Callable[[], object]


def medians(works: Mapping[str, tuple[Work, int]], rounds: int) -> dict[str, float]:
    """Return the milliseconds of CPU time of each work, by the number of things it does.

    Each round does everything once, so that other load on the machine affects all alike; a round
    before warms up.

    Args:
        works: each with its number of things, by name.
        rounds: of which the median is taken.
    """
    times: dict[str, list[float]] = defaultdict(list)
    for _ in range(rounds + 1):
        for name, (work, things) in works.items():
            began = time.process_time()
            work()
            times[name].append((time.process_time() - began) / things * 1e3)
    return {name: statistics.median(values[1:]) for name, values in times.items()}
