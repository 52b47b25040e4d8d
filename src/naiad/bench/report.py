"""A finished benchmark: written as JSON, and compared with an earlier one."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from naiad.bench.load import Load
from naiad.bench.measure import Level
from naiad.errors import InvalidInput

_FORMAT = "naiad-bench-1"


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _machine() -> str:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{platform.system()} {platform.machine()}, {cores} cores"


@dataclass(frozen=True, slots=True)
class Search:
    """The highest rate per second that keeps the 99th percentile within ``p99`` seconds, if any."""

    p99: float
    rate: float | None

    def text(self) -> str:
        """Describe the outcome in a sentence."""
        if self.rate is None:
            return f"no rate was found with p99 within {1e3 * self.p99:g} ms"
        return f"p99 stays within {1e3 * self.p99:g} ms up to {self.rate:.4g} requests per second"


@dataclass(frozen=True, slots=True)
class Report:
    """All measurements of one model, and their conditions.

    Attributes:
        model: its name on the server.
        url: the server.
        requests: origin of the requests, in words.
        version: Naiad's.
        levels: one per load, in the order of the loads.
        window: length of a window, in seconds.
        search: the outcome of ``--find-max``.
        notes: caveats for all levels.
        when: date and time of the report, UTC, ISO 8601.
        machine: of the load generator.
    """

    model: str
    url: str
    requests: str
    version: str
    window: float
    levels: tuple[Level, ...]
    search: Search | None = None
    notes: tuple[str, ...] = ()
    when: str = field(default_factory=_now)
    machine: str = field(default_factory=_machine)

    def all_notes(self) -> list[str]:
        """Return the caveats for all loads and for each."""
        each = (f"{level.load}: {note}" for level in self.levels for note in level.notes)
        return [*self.notes, *each]

    def to_json(self) -> str:
        """Return the report as JSON; times in seconds, sizes in bytes."""
        return json.dumps({"format": _FORMAT, **asdict(self)}, indent=1)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Ratios to an earlier report at one load: above 1 is more throughput, or more latency."""

    load: Load
    throughput: float | None
    p50: float | None
    p99: float | None


def read_baseline(path: Path) -> dict[str, Any]:
    """Read a report that was written as JSON.

    Raises:
        InvalidInput: the file does not exist, or is not a report.
    """
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}") from None
    if not isinstance(found, dict) or found.get("format") != _FORMAT:
        raise InvalidInput(f"{path} is not a report of `naiad bench` ({_FORMAT})")
    return found


def compare(levels: Sequence[Level], baseline: dict[str, Any]) -> list[Comparison]:
    """Compare the loads that both have; a number that either lacks has no ratio."""
    former = {(old["load"]["kind"], old["load"]["value"]): old for old in baseline["levels"]}
    found: list[Comparison] = []
    for level in levels:
        old = former.get((level.load.kind, level.load.value))
        if old is not None:
            now, then = level.latency, old["latency"] or {}
            found.append(
                Comparison(
                    level.load,
                    throughput=_ratio(level.throughput, old["throughput"]),
                    p50=_ratio(now and now.p50, then.get("p50")),
                    p99=_ratio(now and now.p99, then.get("p99")),
                )
            )
    return found


def _ratio(now: float | None, then: float | None) -> float | None:
    return now / then if now is not None and then else None
