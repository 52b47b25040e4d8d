"""Prometheus queries for Naiad's metrics.

======================================  ================================================
naiad_requests_total                    requests answered
naiad_errors_total{kind}                of those, answered with an error
naiad_batches_total                     merged forwards
naiad_batch_items_total{dimension}      rows run, per named dimension (``requests`` is one)
naiad_stage_seconds_total{stage}        time in queue, prepare, collate, forward, split, finish
naiad_worker_restarts_total{reason}     workers lost: died, hung, not_loaded, internal
======================================  ================================================

Triton's own error counts are not used: it counts replies that Naiad has not sent (2.51).
"""

from __future__ import annotations


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


def queue_milliseconds(selector: str, window: str) -> str:
    """Return the mean time of requests in Naiad's queue."""
    waited = rate("naiad_stage_seconds_total", f'stage="queue",{selector}', window)
    answered = rate("naiad_requests_total", selector, window)
    # Without answers nothing has waited; the bound avoids 0 / 0.
    return f"1000 * {waited} / clamp_min({answered}, 0.001)"
