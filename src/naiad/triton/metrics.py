"""Naiad's own metrics on Triton's ``/metrics``.

With deferred replies Triton counts one execution per request, durations without the wait, and late
errors as successes (seen in 2.51), so these are the ones to read:

======================================  ================================================
naiad_requests_total                    requests answered
naiad_errors_total{kind}                of those, answered with an error
naiad_batches_total                     merged forwards
naiad_batch_items_total{dimension}      rows run, per named dimension (``requests`` is one)
naiad_stage_seconds_total{stage}        time in queue, prepare, collate, forward, split, finish
naiad_worker_restarts_total{reason}     workers lost: died, hung, not_loaded, internal
======================================  ================================================
"""

from __future__ import annotations

import contextlib
import threading
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from naiad.errors import NaiadError

_HELP = {
    "naiad_requests_total": "Requests answered",
    "naiad_errors_total": "Requests answered with an error, by kind",
    "naiad_batches_total": "Merged batches run",
    "naiad_batch_items_total": "Rows run in batches, by named dimension",
    "naiad_stage_seconds_total": "Seconds spent, by stage",
    "naiad_worker_restarts_total": "Workers lost and started again, by reason",
}
_INTERVAL = 0.25  # seconds; one increment costs about 15 us, so they are gathered

_Key = tuple[str, str, str]  # family, label name, label value


class Metrics:
    """Counters of one model, gathered here and handed to Triton four times a second."""

    def __init__(self, pb_utils: Any, model: str, version: str) -> None:
        """Register the metric families with the backend ``pb_utils`` belongs to."""
        self._labels = {"model": model, "version": version}
        # Triton forgets a metric as soon as its Python object is gone, so they are kept.
        self._families = {
            name: pb_utils.MetricFamily(
                name=name, description=text, kind=pb_utils.MetricFamily.COUNTER
            )
            for name, text in _HELP.items()
        }
        self._metrics: dict[_Key, Any] = {}
        self._pending: defaultdict[_Key, float] = defaultdict(float)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._flush_often, name="naiad-metrics")

    def start(self) -> None:
        """Begin to hand numbers over; once the model is loaded, as a thread keeps a stub alive."""
        self._thread.start()

    def batch(self, sizes: Mapping[str, int]) -> None:
        """A merged batch with these rows per dimension was run."""
        with self._lock:
            self._pending["naiad_batches_total", "", ""] += 1
            for dim, size in sizes.items():
                self._pending["naiad_batch_items_total", "dimension", dim] += size

    def stage(self, name: str, seconds: float) -> None:
        """Time was spent in a stage."""
        with self._lock:
            self._pending["naiad_stage_seconds_total", "stage", name] += seconds

    def reply(self, error: NaiadError | None) -> None:
        """A request was answered."""
        with self._lock:
            self._pending["naiad_requests_total", "", ""] += 1
            if error is not None:
                self._pending["naiad_errors_total", "kind", type(error).__name__] += 1

    def restart(self, reason: str) -> None:
        """A worker was lost."""
        with self._lock:
            self._pending["naiad_worker_restarts_total", "reason", reason] += 1

    def close(self) -> None:
        """Hand over what is left and stop."""
        self._stop.set()
        self._thread.join()

    def _flush_often(self) -> None:
        while not self._stop.wait(_INTERVAL):
            self._flush()
        with contextlib.suppress(Exception):  # Triton may be half gone by now
            self._flush()

    def _flush(self) -> None:
        with self._lock:
            pending, self._pending = self._pending, defaultdict(float)
        for key, value in pending.items():
            metric = self._metrics.get(key)
            if metric is None:
                family, label, text = key
                labels = self._labels | ({label: text} if label else {})
                metric = self._metrics[key] = self._families[family].Metric(labels=labels)
            metric.increment(value)
