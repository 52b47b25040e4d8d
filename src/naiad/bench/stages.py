"""Time of requests by stage, from the server's ``naiad_*`` metrics."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from naiad.triton.prometheus import Sample, read_metrics

STAGES = ("queue", "prepare", "collate", "forward", "split", "finish")

SETTLE = 0.6  # seconds until an answer is counted; models report four times a second


@dataclass(frozen=True, slots=True)
class Counters:
    """A model's counters at one time; they only grow."""

    requests: float
    batches: float
    items: Mapping[str, float]
    seconds: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Share:
    """The server's part in the requests of one measurement.

    Attributes:
        requests: number of answered requests.
        batches: number of merged batches.
        batch: mean rows per batch, by named dimension (``requests`` is one).
        waits: mean seconds of a request in each stage; a request takes as long as its whole batch.
        outside: seconds of the mean latency outside all stages.
    """

    requests: int
    batches: int
    batch: dict[str, float]
    waits: dict[str, float]
    outside: float


def counters(samples: Iterable[Sample], model: str) -> Counters | None:
    """Return the counters of ``model`` among all metrics of a server, or None."""
    sums: defaultdict[tuple[str, str], float] = defaultdict(float)
    for sample in samples:
        if sample.name.startswith("naiad_") and sample.labels.get("model") == model:
            label = sample.labels.get("dimension") or sample.labels.get("stage") or ""
            sums[sample.name, label] += sample.value
    if not sums:
        return None
    return Counters(
        requests=sums["naiad_requests_total", ""],
        batches=sums["naiad_batches_total", ""],
        items={d: v for (name, d), v in sums.items() if name == "naiad_batch_items_sum"},
        seconds={s: v for (name, s), v in sums.items() if name == "naiad_stage_seconds_sum"},
    )


def share(before: Counters, after: Counters, mean_latency: float) -> Share | None:
    """Return the server's part between two times; None if it ran no batch.

    ``mean_latency`` is that of the same requests, in seconds, as measured by their client.
    """
    requests = round(after.requests - before.requests)
    batches = round(after.batches - before.batches)
    if requests <= 0 or batches <= 0:
        return None
    waits = {
        stage: (after.seconds.get(stage, 0.0) - before.seconds.get(stage, 0.0)) / requests
        for stage in STAGES
    }
    return Share(
        requests=requests,
        batches=batches,
        batch={
            dim: (rows - before.items.get(dim, 0.0)) / batches for dim, rows in after.items.items()
        },
        waits=waits,
        outside=mean_latency - sum(waits.values()),
    )


@dataclass(frozen=True, slots=True)
class Meter:
    """Reader of one model's counters at the address of its server's metrics."""

    url: str
    model: str

    async def read(self) -> Counters | None:
        """Return the current counters, or None if there are none.

        Raises:
            Unavailable: no metrics can be read at the address.
        """
        return counters(await asyncio.to_thread(read_metrics, self.url), self.model)
