"""Questions to Prometheus about Naiad's metrics.

======================================  ================================================
naiad_requests_total                    requests answered
naiad_errors_total{kind}                of those, answered with an error
naiad_batches_total                     merged forwards
naiad_batch_items_total{dimension}      rows run, per named dimension (``requests`` is one)
naiad_stage_seconds_total{stage}        time in queue, prepare, collate, forward, split, finish
naiad_worker_restarts_total{reason}     workers lost: died, hung, not_loaded, internal
======================================  ================================================

Triton's own counts of errors are not asked for: it has replied when Naiad has not (2.51).
"""

from __future__ import annotations


def rate(metric: str, selector: str, window: str, *, by: str = "") -> str:
    """How much ``metric`` grows per second, summed over all series, or ``by`` a label.

    Args:
        metric: a counter.
        selector: labels that it must have, as ``model="gat",namespace="physics"``.
        window: over which the rate is averaged, as ``1m``.
        by: labels that are kept apart, with commas between them.
    """
    kept = f" by ({by})" if by else ""
    return f"sum{kept}(rate({metric}{{{selector}}}[{window}]))"


def queue_milliseconds(selector: str, window: str) -> str:
    """The mean time that requests have waited in Naiad's queue."""
    waited = rate("naiad_stage_seconds_total", f'stage="queue",{selector}', window)
    answered = rate("naiad_requests_total", selector, window)
    # Where nothing is answered nothing has waited, and 0 / 0 is no number.
    return f"1000 * {waited} / clamp_min({answered}, 0.001)"
