"""Metrics as Prometheus and OpenMetrics write them, from several sources at one address.

Triton's backends have counters and no histograms (2.51), so the samples of Naiad's histograms
arrive as counters ``NAME_bucket``, ``NAME_sum`` and ``NAME_count``, and become one family here.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from naiad.triton.prometheus import Sample, parse_sample, unescaped

OPEN_METRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PROMETHEUS: Final = "text/plain; version=0.0.4; charset=utf-8"

_PARTS = ("_bucket", "_sum", "_count")
_COMMENT = re.compile(r"# (HELP|TYPE) (\S+) ?(.*)")
_UNLABELLED = "le"  # tells the buckets of one histogram apart

Labels = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Family:
    """All samples of one metric.

    Attributes:
        name: that of the samples, without the suffixes of a histogram.
        kind: counter, gauge, histogram, summary or untyped.
        about: one sentence, or "".
    """

    name: str
    kind: str
    about: str = ""
    samples: list[Sample] = field(default_factory=list[Sample])


@dataclass(frozen=True, slots=True)
class Exemplar:
    """A request that a histogram has counted, whose trace can be looked up.

    Attributes:
        family: name of the histogram.
        labels: those of its samples, without ``le``.
        value: what was observed, in the histogram's unit.
        trace_id: 32 hexadecimal digits.
        at: seconds since 1970.
    """

    family: str
    labels: Mapping[str, str]
    value: float
    trace_id: str
    at: float


def parse_families(text: str) -> list[Family]:
    """Return the families of an exposition (text format 0.0.4)."""
    families: dict[str, Family] = {}
    for line in text.split("\n"):
        if comment := _COMMENT.match(line):
            what, name, rest = comment.groups()
            family = families.setdefault(name, Family(name, "untyped"))
            if what == "TYPE":
                family.kind = rest.strip()
            else:
                family.about = unescaped(rest)
        elif (sample := parse_sample(line)) is not None:
            _family_of(sample.name, families).samples.append(sample)
    return list(families.values())


def merged(families: Iterable[Family]) -> list[Family]:
    """Return each family once, and counters that are parts of a histogram as that histogram."""
    found: dict[str, Family] = {}
    given = list(families)
    histograms = {
        family.name.removesuffix("_bucket")
        for family in given
        if family.kind == "counter" and family.name.endswith("_bucket")
    }
    for family in given:
        name, kind = family.name, family.kind
        for part in _PARTS:
            if kind == "counter" and name.removesuffix(part) in histograms and name.endswith(part):
                name, kind = name.removesuffix(part), "histogram"
        into = found.setdefault(name, Family(name, kind))
        into.about = into.about or family.about
        into.samples += family.samples
    return [family for family in found.values() if family.samples]


def prometheus_text(families: Iterable[Family]) -> str:
    """Return the families in Prometheus' text format 0.0.4."""
    lines: list[str] = []
    for family in merged(families):
        if family.about:
            lines.append(f"# HELP {family.name} {_escaped(family.about, quotes=False)}")
        lines.append(f"# TYPE {family.name} {family.kind}")
        lines += map(_line, _ordered(family))
    return "\n".join([*lines, ""])


def open_metrics_text(families: Iterable[Family], exemplars: Sequence[Exemplar] = ()) -> str:
    """Return the families in OpenMetrics 1.0, each bucket with its latest exemplar.

    Names stay as they are, so that no query depends on the format: counters without ``_total``,
    which OpenMetrics does not know, have the type ``unknown``.
    """
    lines: list[str] = []
    for family in merged(families):
        name, kind = _open_name(family)
        lines.append(f"# TYPE {name} {kind}")
        if family.about:
            lines.append(f"# HELP {name} {_escaped(family.about)}")
        ordered = _ordered(family)
        latest = _latest(ordered, [e for e in exemplars if e.family == family.name])
        for number, sample in enumerate(ordered):
            lines.append(_line(sample) + _exemplar(latest.get(number)))
    return "\n".join([*lines, "# EOF", ""])


def _open_name(family: Family) -> tuple[str, str]:
    if family.kind == "counter" and family.name.endswith("_total"):
        return family.name.removesuffix("_total"), "counter"
    known = family.kind in ("gauge", "histogram", "summary")
    return family.name, family.kind if known else "unknown"


def _family_of(name: str, families: dict[str, Family]) -> Family:
    for part in _PARTS:
        family = families.get(name.removesuffix(part)) if name.endswith(part) else None
        if family is not None and family.kind in ("histogram", "summary"):
            return family
    return families.setdefault(name, Family(name, "untyped"))


def _ordered(family: Family) -> list[Sample]:
    """Return the samples; those of a histogram by labels, its buckets from small to large."""
    if family.kind != "histogram":
        return family.samples
    groups: defaultdict[Labels, list[Sample]] = defaultdict(list)
    for sample in family.samples:
        if _UNLABELLED in sample.labels:
            le = _canonical(float(sample.labels[_UNLABELLED]))
            sample = Sample(sample.name, {**sample.labels, _UNLABELLED: le}, sample.value)
        groups[_group(sample.labels)].append(sample)
    return [
        sample
        for group in groups.values()
        for sample in sorted(group, key=lambda s: (s.name[len(family.name) :], _bound(s)))
    ]


def _group(labels: Mapping[str, str]) -> Labels:
    return tuple(sorted((k, v) for k, v in labels.items() if k != _UNLABELLED))


def _bound(sample: Sample) -> float:
    return float(sample.labels.get(_UNLABELLED, "inf"))


def _latest(samples: Sequence[Sample], exemplars: Iterable[Exemplar]) -> dict[int, Exemplar]:
    """Return the latest exemplar of each bucket that has one, by position in ``samples``."""
    buckets: defaultdict[Labels, list[tuple[float, int]]] = defaultdict(list)
    for number, sample in enumerate(samples):
        if _UNLABELLED in sample.labels:
            buckets[_group(sample.labels)].append((_bound(sample), number))
    latest: dict[int, Exemplar] = {}
    for exemplar in sorted(exemplars, key=lambda e: e.at):
        above = (n for most, n in buckets[_group(exemplar.labels)] if exemplar.value <= most)
        for number in above:
            latest[number] = exemplar
            break
    return latest


def _exemplar(exemplar: Exemplar | None) -> str:
    if exemplar is None:
        return ""
    return (
        f' # {{trace_id="{_escaped(exemplar.trace_id)}"}} {_number(exemplar.value)}'
        f" {exemplar.at:.3f}"
    )


def _line(sample: Sample) -> str:
    labels = ",".join(f'{name}="{_escaped(text)}"' for name, text in sample.labels.items())
    return f"{sample.name}{f'{{{labels}}}' if labels else ''} {_number(sample.value)}"


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if math.isnan(value):
        return "NaN"
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)


def _canonical(bound: float) -> str:
    """Return a bucket's bound as OpenMetrics prefers it: ``1.0``, ``2.5``, ``1e+06``, ``+Inf``."""
    short = f"{bound:g}"
    if math.isinf(bound) or float(short) != bound:
        return _number(bound)
    return short if {".", "e"} & set(short) else f"{short}.0"


def _escaped(text: str, *, quotes: bool = True) -> str:
    text = text.replace("\\", r"\\").replace("\n", r"\n")
    return text.replace('"', r"\"") if quotes else text
