"""Prometheus queries for Naiad's metrics.

======================================  ================================================
naiad_requests_total                    requests answered
naiad_errors_total{kind}                of those, answered with an error
naiad_request_seconds                   histogram: from a request's arrival to its answer
naiad_stage_seconds{stage}              histogram: queue, prepare, collate, forward, split, finish
naiad_batches_total                     merged forwards
naiad_batch_items{dimension}            histogram: rows of a batch (``requests`` is a dimension)
naiad_worker_restarts_total{reason}     workers lost: died, hung, not_loaded, internal
naiad_server_ready                      1 if every model answers
naiad_model_ready{model}                1 if the model does
naiad_server_restarts_total             restarts of the whole server
naiad_gate_ready                        1 if requests get through the gate
======================================  ================================================

A histogram has the samples ``_bucket{le}``, ``_sum`` and ``_count``. The last four are at the
health port only, the others at Triton's too. Triton's own error counts are not used: it counts
replies that Naiad has not sent (2.51).
"""

from __future__ import annotations

from typing import Final

QUEUE_QUANTILE: Final = 0.9
"""Share of requests for whose time in the queue pods are added."""


def rate(metric: str, selector: str, window: str, *, by: str = "") -> str:
    """Return the growth of ``metric`` per second, summed over all series, or ``by`` labels.

    Args:
        metric: a counter.
        selector: labels that it must have, such as ``model="gat",namespace="physics"``.
        window: over which to average the rate, such as ``1m``.
        by: labels to group by, separated by commas.
    """
    kept = f" by ({by})" if by else ""
    return f"sum{kept}(rate({metric}{{{selector}}}[{window}]))"


def quantile(share: float, histogram: str, selector: str, window: str, *, by: str = "") -> str:
    """Return the value that ``share`` of the observations do not exceed; NaN without any.

    The arguments are those of :func:`rate`, with the histogram's name.
    """
    kept = f"le,{by}" if by else "le"
    buckets = rate(f"{histogram}_bucket", selector, window, by=kept)
    return f"histogram_quantile({share:g}, {buckets})"


def queue_milliseconds(selector: str, window: str) -> str:
    """Return the time that nine of ten requests stay below in Naiad's queue; 0 without requests."""
    waited = quantile(QUEUE_QUANTILE, "naiad_stage_seconds", f'stage="queue",{selector}', window)
    # Without requests the quantile is NaN, which is not 0 or more, or missing.
    return f"(1000 * {waited} >= 0 or vector(0))"
