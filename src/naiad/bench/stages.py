"""Where the server says that requests spend their time, from its ``naiad_*`` metrics."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import urllib3

from naiad.errors import Unavailable
from naiad.triton.prometheus import Sample, parse_metrics

STAGES = ("queue", "prepare", "collate", "forward", "split", "finish")

SETTLE = 0.6  # seconds after an answer until it is counted; models do so four times a second


@dataclass(frozen=True, slots=True)
class Counters:
    """A model's counters at one moment; they only grow."""

    requests: float
    batches: float
    items: Mapping[str, float]
    seconds: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Share:
    """The server's part in the requests of one measurement.

    Attributes:
        requests: how many it answered.
        batches: in how many merged batches.
        batch: mean rows per batch, by named dimension (``requests`` is one).
        waits: mean seconds that a request spends in each stage; it goes through its batch's stages
            with all the others in it, and spends all of each.
        outside: seconds of the mean latency that are in no stage.
    """

    requests: int
    batches: int
    batch: dict[str, float]
    waits: dict[str, float]
    outside: float


def counters(samples: Iterable[Sample], model: str) -> Counters | None:
    """The counters of ``model`` among all metrics of a server; None where it has none."""
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
        items={d: v for (name, d), v in sums.items() if name == "naiad_batch_items_total"},
        seconds={s: v for (name, s), v in sums.items() if name == "naiad_stage_seconds_total"},
    )


def share(before: Counters, after: Counters, mean_latency: float) -> Share | None:
    """What the server did between two moments; None where it ran no batch.

    ``mean_latency`` is that of the same requests, in seconds, as their client saw it.
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
    """The counters of one model, at the address of its server's metrics."""

    url: str
    model: str

    async def read(self) -> Counters | None:
        """The counters now; None where there are none.

        Raises:
            Unavailable: there are no metrics at the address.
        """
        return counters(parse_metrics(await asyncio.to_thread(_get, self.url)), self.model)


def metrics_url(given: str | None, host: str) -> str:
    """The full URL of the metrics: as given, or else on ``host`` at Triton's default port."""
    if given is None:
        return f"http://{f'[{host}]' if ':' in host else host}:8002/metrics"
    url = given if "://" in given else f"http://{given}"
    return url if "/" in url.partition("://")[2] else f"{url}/metrics"


def _get(url: str) -> str:
    try:
        answer = urllib3.request("GET", url, timeout=5.0, retries=False)
    except urllib3.exceptions.HTTPError as error:
        raise Unavailable(f"no metrics at {url}: {error}") from None
    if answer.status != 200:
        raise Unavailable(f"no metrics at {url}: status {answer.status}")
    return answer.data.decode()
