"""Invented measurements."""

from __future__ import annotations

from typing import Any

from naiad.bench.load import Load
from naiad.bench.measure import Level
from naiad.bench.report import Report
from naiad.bench.stages import STAGES, Share
from naiad.bench.statistics import Latency


def latency(p50: float = 0.010, p99: float = 0.030) -> Latency:
    return Latency(count=100, mean=p50, p50=p50, p90=(p50 + p99) / 2, p99=p99, max=2 * p99)


def share() -> Share:
    waits = {stage: 1e-3 * (number + 1) for number, stage in enumerate(STAGES)}
    return Share(requests=100, batches=40, batch={"requests": 2.5}, waits=waits, outside=0.009)


def level(load: Load | None = None, **changes: Any) -> Level:
    values: dict[str, Any] = {
        "verdict": "stable",
        "windows": 3,
        "throughput": 80.0,
        "latency": latency(),
        "requests": 100,
        "errors": {},
        "sent_bytes": 4200.0,
        "received_bytes": 4600.0,
        "lateness": 1e-4,
        "generator_cpu": 0.12,
        "client": 1.5e-3,
        "server": share(),
        "notes": (),
    }
    return Level(load=load or Load("concurrency", 8.0), **{**values, **changes})


def report(*levels: Level, **changes: Any) -> Report:
    values: dict[str, Any] = {
        "model": "degree",
        "url": "grpc://localhost:8001",
        "requests": "the model's example",
        "version": "0.1.0",
        "window": 2.0,
    }
    return Report(levels=levels, **{**values, **changes})
