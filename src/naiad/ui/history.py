"""The last minutes of a server's metrics, sampled while the page is served."""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from threading import Event, Lock, Thread
from typing import Any, Final, TypeAlias

from naiad.client import Client
from naiad.client.address import Address
from naiad.errors import NaiadError
from naiad.server_card import url_of
from naiad.triton.prometheus import Sample, read_metrics

KEPT: Final = 900.0
"""Seconds of history."""
EVERY: Final = 3.0
"""Seconds between two samples."""
_MOST_SERIES: Final = 5_000  # of one sample
_NAMES: Final = ("naiad_", "nv_inference_pending", "nv_cpu_memory", "nv_gpu_memory")

_log = logging.getLogger(__name__)

Labels: TypeAlias = "frozenset[tuple[str, str]]"
Values: TypeAlias = "Mapping[str, Mapping[Labels, float]]"


@dataclass(frozen=True, slots=True)
class Moment:
    """The metrics at one time: seconds since the epoch, and values by name and labels."""

    time: float
    values: Values

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of a metric over all its series with these labels."""
        wanted = frozenset(labels.items())
        series = self.values.get(name, {}).items()
        return sum(value for have, value in series if wanted <= have)

    def by(self, name: str, label: str, **labels: str) -> dict[str, float]:
        """Return the sums of a metric by one of its labels."""
        wanted, sums = frozenset(labels.items()), dict[str, float]()
        for have, value in self.values.get(name, {}).items():
            if wanted <= have and (key := dict(have).get(label)) is not None:
                sums[key] = sums.get(key, 0.0) + value
        return sums


class History:
    """Samples of a server's metrics, the last `KEPT` seconds of them; thread-safe.

    Triton's metrics are read where they can be reached: of a server on this host. Of any other,
    the statistics of its models are.
    """

    def __init__(self, client: Client, url: str) -> None:
        """Sample nothing yet; ``client`` asks the server at ``url``."""
        self._client = client
        self._place = Address.parse(url).place
        self._moments: deque[Moment] = deque(maxlen=math.ceil(KEPT / EVERY))
        self._lock, self._stopped = Lock(), Event()

    def __enter__(self) -> History:
        """Begin to sample, in a thread."""
        Thread(target=self._run, name="page-metrics", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop sampling."""
        self._stopped.set()

    def moments(self) -> Sequence[Moment]:
        """Return the samples, the oldest first."""
        with self._lock:
            return list(self._moments)

    def sample(self) -> None:
        """Take one sample.

        Raises:
            NaiadError: the server cannot be reached.
        """
        moment = Moment(time.time(), self._values())
        with self._lock:
            self._moments.append(moment)

    def _run(self) -> None:
        while True:
            try:
                self.sample()
            except NaiadError as error:  # a gap: the server restarts, or is gone
                _log.debug("no metrics: %s", error)
            if self._stopped.wait(EVERY):
                return

    def _values(self) -> Values:
        url = url_of(self._place, "metrics")
        found = _of_statistics(self._client.statistics()) if url is None else read_metrics(url)
        values: dict[str, dict[Labels, float]] = {}
        for sample in islice((s for s in found if s.name.startswith(_NAMES)), _MOST_SERIES):
            series, key = values.setdefault(sample.name, {}), frozenset(sample.labels.items())
            series[key] = series.get(key, 0.0) + sample.value
        return values


def rates(
    moments: Sequence[Moment], value: Callable[[Moment], float], window: int = 1
) -> list[float | None]:
    """Return a counter's growth per second before each moment; None where it is not known.

    A counter that falls has begun anew.
    """
    found: list[float | None] = [None] * min(window, len(moments))
    totals = [value(moment) for moment in moments]
    for place in range(window, len(moments)):
        before = place - window
        seconds = moments[place].time - moments[before].time
        grown = totals[place] - totals[before]
        # After a gap a rate would be spread over it.
        known = 0 < seconds < 4 * window * EVERY and grown >= 0
        found.append(grown / seconds if known else None)
    return found


def quantile(before: Moment, after: Moment, share: float, model: str) -> float | None:
    """Return the seconds within which a share of a model's requests was answered.

    It is interpolated in the buckets of ``naiad_request_seconds``, as Prometheus does it; None
    without requests, or without these buckets.
    """
    name = "naiad_request_seconds_bucket"
    old, new = (moment.by(name, "le", model=model) for moment in (before, after))
    bounds = sorted((float(text), new[text] - old.get(text, 0.0)) for text in new)
    if not bounds or bounds[-1][1] <= 0:
        return None
    wanted, low, below = share * bounds[-1][1], 0.0, 0.0
    for bound, count in bounds:
        if count >= wanted:
            if math.isinf(bound):
                return low
            inside = count - below
            return low + (bound - low) * ((wanted - below) / inside if inside else 1.0)
        low, below = bound, count
    return low


def _of_statistics(statistics: Mapping[str, Any]) -> Iterable[Sample]:
    """Yield the statistics of models under the names of Naiad's metrics."""
    for one in statistics["model_stats"]:
        labels = {"model": str(one["name"]), "version": str(one["version"])}
        spent = one.get("inference_stats", {})
        good, bad = (float(spent.get(k, {}).get("count", 0)) for k in ("success", "fail"))
        yield Sample("naiad_requests_total", labels, good + bad)
        yield Sample("naiad_errors_total", labels | {"kind": "any"}, bad)
        yield Sample("naiad_batches_total", labels, float(one.get("execution_count", 0)))
        for stage, key in (("queue", "queue"), ("forward", "compute_infer")):
            seconds = float(spent.get(key, {}).get("ns", 0)) / 1e9
            yield Sample("naiad_stage_seconds_sum", labels | {"stage": stage}, seconds)
