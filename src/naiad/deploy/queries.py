"""Questions to Prometheus about Naiad's metrics.

What each metric is, is told in :mod:`naiad.triton.metrics`. Triton's own queue times and counts of
errors are not asked for: replies are deferred, and Triton does not see what happens meanwhile.
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
