"""Reader of Triton's ``/metrics``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import urllib3

from naiad.errors import Unavailable

_SAMPLE = re.compile(r"([\w:]+)(?:\{(.*)\})? (\S+)")
_ESCAPE = re.compile(r"\\(.)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class Sample:
    """One number: its metric's name, its labels and the current value."""

    name: str
    labels: Mapping[str, str]
    value: float


def parse_metrics(text: str) -> Iterator[Sample]:
    """Yield the samples of a Prometheus exposition (text format 0.0.4)."""
    return filter(None, map(parse_sample, text.split("\n")))


def parse_sample(line: str) -> Sample | None:
    """Return the sample in a line of an exposition; None if it has none."""
    match = _SAMPLE.match(line)
    if match is None:
        return None
    name, written, value = match.groups()
    labels = {key: unescaped(text) for key, text in _LABEL.findall(written or "")}
    return Sample(name, labels, float(value))


def total(samples: Iterable[Sample], name: str, labels: Mapping[str, str]) -> float:
    """Return the sum of a metric over all samples with these labels; 0 if there are none."""
    return sum(s.value for s in samples if s.name == name and labels.items() <= s.labels.items())


def metrics_url(given: str | None, host: str) -> str:
    """Return the metrics' full URL: as given, or else on ``host`` at Triton's default port."""
    if given is None:
        return f"http://{f'[{host}]' if ':' in host else host}:8002/metrics"
    url = given if "://" in given else f"http://{given}"
    return url if "/" in url.partition("://")[2] else f"{url}/metrics"


def read_metrics(url: str) -> list[Sample]:
    """Read all samples at ``url``.

    Raises:
        Unavailable: there are no metrics at the address.
    """
    try:
        answer = urllib3.request("GET", url, timeout=5.0, retries=False)
    except urllib3.exceptions.HTTPError as error:
        raise Unavailable(f"no metrics at {url}: {error}") from None
    if answer.status != 200:
        raise Unavailable(f"no metrics at {url}: status {answer.status}")
    return list(parse_metrics(answer.data.decode()))


def unescaped(text: str) -> str:
    """Return the text of a label or description."""
    return _ESCAPE.sub(lambda match: "\n" if match[1] == "n" else match[1], text)
