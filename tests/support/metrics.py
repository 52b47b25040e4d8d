"""Expositions read by Prometheus' own parsers, and what must hold for every histogram."""

from __future__ import annotations

import math
from collections import defaultdict

from prometheus_client.core import Metric
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_open_metrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_prometheus


def families(text: str) -> dict[str, Metric]:
    """Return the families by name, each of which must appear once.

    A text that ends like OpenMetrics is read by that format's parser, which checks more: the order
    of samples, the bounds of buckets, the suffixes of each type, exemplars.
    """
    parse = parse_open_metrics if text.endswith("# EOF\n") else parse_prometheus
    found = list(parse(text))
    assert len({family.name for family in found}) == len(found)
    return {family.name: family for family in found}


def counts(histogram: Metric) -> dict[tuple[tuple[str, str], ...], float]:
    """Return the number of observations by labels; check that it adds up.

    The buckets only grow with their bound, the last is ``+Inf`` and equal to the count, and the sum
    is one that values in these buckets can have.
    """
    assert histogram.type == "histogram"
    buckets: defaultdict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = defaultdict(list)
    others: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for sample in histogram.samples:
        labels = tuple(sorted((k, v) for k, v in sample.labels.items() if k != "le"))
        part = sample.name.removeprefix(histogram.name)
        if part == "_bucket":
            buckets[labels].append((float(sample.labels["le"]), sample.value))
        else:
            others[part, labels] = sample.value
    found: dict[tuple[tuple[str, str], ...], float] = {}
    for labels, values in buckets.items():
        bounds = [bound for bound, _ in values]
        assert bounds == sorted(set(bounds))
        assert math.isinf(bounds[-1])
        numbers = [number for _, number in values]
        assert numbers == sorted(numbers)
        found[labels] = others["_count", labels]
        assert numbers[-1] == found[labels]
        least = most = 0.0
        for (bound, number), (below, lower) in zip(values, [(0.0, 0.0), *values], strict=False):
            least += (number - lower) * below
            most += (number - lower) * bound if number > lower else 0.0
        assert least * (1 - 1e-9) <= others["_sum", labels] <= most * (1 + 1e-9)
    assert len(others) == 2 * len(found)
    return found
