"""Compare three rules for a latency target by the requests in time, in simulated time.

Poisson arrivals at one worker whose batches cost 4 ms and 1 ms per unit of size, at most 32 units.
Requests have one unit, or (``mixed``) every tenth has 20. Rules: no target; Naiad's; and the simple
one, which limits each batch so that its oldest request is in time, at any cost.

The rules are those of the reference that the native backend is tested against.

    python -m benchmarks.latency_target
"""

from __future__ import annotations

import numpy as np
from rich.console import Console
from rich.table import Table
from tests.unit.native.reference import Batcher

from naiad.core.budget import Budget
from naiad.core.cost_model import Cost

COST = Cost(0.004, {"units": 0.001})
MOST = 32
REQUESTS = 10_000
SIZES = {
    "equal": lambda rng: np.ones(REQUESTS, int),
    "mixed": lambda rng: np.where(rng.random(REQUESTS) < 0.1, 20, 1),
}


class Simple(Batcher):
    """The simple rule: keep the oldest request in time, at any cost."""

    aim = 0.0

    def take(self, most: int) -> list[int]:
        left = self.queue[0].arrived + self.aim - self.now
        units = int((left - COST.fixed) / COST.per["units"])
        self.budget = Budget(units=max(1, min(MOST, units)))
        return super().take(most)


def simulate(batcher: Batcher, arrivals, sizes, target: float):
    """Return the median latency of all requests, and the share within the target."""
    now, put, latencies = 0.0, 0, []
    while len(latencies) < REQUESTS:
        while put < REQUESTS and arrivals[put] <= now:
            batcher.now = arrivals[put]
            assert not batcher.put({"units": int(sizes[put])})
            put += 1
        if not batcher.queue:
            now = arrivals[put]
            continue
        batcher.now = now
        batch = batcher.take(MOST)
        now += COST.seconds({"units": int(sizes[batch].sum())})
        latencies += [now - arrivals[n] for n in batch]
    return float(np.median(latencies)), float(np.mean(np.array(latencies) <= target))


def main() -> None:
    table = Table("sizes", "target", "load", "none", "Naiad", "simple", title="in time (median)")
    for name, draw in SIZES.items():
        for target in (0.02, 0.05, 0.1):
            for load in (0.3, 0.45, 0.7, 0.9):
                rng = np.random.default_rng(0)
                sizes = draw(rng)
                full = MOST / COST.seconds({"units": MOST})  # units per second
                arrivals = np.cumsum(rng.exponential(sizes.mean() / load / full, REQUESTS))
                cells = []
                budget, capacity = Budget(units=MOST), REQUESTS
                none = Batcher(budget, capacity)
                ours = Batcher(budget, capacity, target=target, predict=COST.seconds)
                simple = Simple(budget, capacity)
                simple.aim = target
                for queue in (none, ours, simple):
                    median, share = simulate(queue, arrivals, sizes, target)
                    cells.append(f"{100 * share:.1f} % ({1e3 * median:,.0f} ms)")
                table.add_row(name, f"{1e3 * target:.0f} ms", f"{100 * load:.0f} %", *cells)
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
