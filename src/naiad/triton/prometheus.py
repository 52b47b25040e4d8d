"""The text that Triton's ``/metrics`` answers with, parsed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_SAMPLE = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)")
_ESCAPE = re.compile(r"\\(.)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class Sample:
    """One number: its metric's name, its labels and the value now."""

    name: str
    labels: Mapping[str, str]
    value: float


def parse_metrics(text: str) -> Iterator[Sample]:
    """The samples of a Prometheus exposition (text format 0.0.4)."""
    for line in text.splitlines():
        match = _SAMPLE.match(line)
        if match:
            name, written, value = match.groups()
            labels = {key: _unescaped(text) for key, text in _LABEL.findall(written or "")}
            yield Sample(name, labels, float(value))


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda match: "\n" if match[1] == "n" else match[1], text)
