"""How many requests a latency target brings in time, in simulated time, for three rules.

Poisson arrivals at one worker whose batches cost 4 ms and 1 ms per unit of size, at most 32 units.
Requests are of one unit, or (``mixed``) every tenth of 20. Rules: no target; Naiad's; and the
simple one, by which no batch is larger than keeps its oldest request in time, at any price.

    python benchmarks/latency_target.py
"""

from __future__ import annotations

import numpy as np
from rich.console import Console
from rich.table import Table

from naiad.batching import Batcher, Budget, LatencyTarget
from naiad.cost import Cost

COST = Cost(0.004, {"units": 0.001})
MOST = 32
REQUESTS = 10_000
SIZES = {
    "equal": lambda rng: np.ones(REQUESTS, int),
    "mixed": lambda rng: np.where(rng.random(REQUESTS) < 0.1, 20, 1),
}


class Simple(Batcher[int]):
    """Keeps the oldest request in time, at any price."""

    target = 0.0

    def _pick(self, most: int | None) -> list[int]:
        left = self._queue[0].arrived + self.target - self._clock()
        units = int((left - COST.fixed) / COST.per["units"])
        self._budget = Budget(units=max(1, min(MOST, units)))
        return super()._pick(most)


def simulate(batcher: Batcher[int], clock: list[float], arrivals, sizes, target: float):
    """Latencies of all requests: their median, and the share within the target."""
    now, put, latencies = 0.0, 0, []
    while len(latencies) < REQUESTS:
        while put < REQUESTS and arrivals[put] <= now:
            clock[0] = arrivals[put]
            batcher.put(put, {"units": int(sizes[put])})
            put += 1
        if not len(batcher):
            now = arrivals[put]
            continue
        clock[0] = now
        batch = batcher.take()
        assert batch
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
                for kind in (None, LatencyTarget(target, COST.seconds), Simple):
                    clock = [0.0]
                    made = (Simple if kind is Simple else Batcher)(
                        Budget(units=MOST),
                        capacity=REQUESTS,
                        latency_target=None if kind is Simple else kind,
                        clock=lambda clock=clock: clock[0],
                    )
                    made.target = target
                    median, share = simulate(made, clock, arrivals, sizes, target)
                    cells.append(f"{100 * share:.1f} % ({1e3 * median:,.0f} ms)")
                table.add_row(name, f"{1e3 * target:.0f} ms", f"{100 * load:.0f} %", *cells)
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
