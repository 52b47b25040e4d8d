"""The table of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

COMMAND = "benchmarks.gpu"

_TITLES = (
    "requests at once",
    "requests/s",
    "ms each",
    "memory, MB",
    "prepared beside `forward`",
    "pinned copies",
    "CUDA graph",
    "workers",
    "difference to the CPU",
)


def section(report: Mapping[str, Any]) -> str:
    """Return the Markdown of a report."""
    lines = [
        f"`{report['command']}` on {report['device']}, {report['when']}; torch {report['torch']}. "
        "Requests per second of a loop over batches, preparation included. Gains are ratios of "
        "requests per second at the fastest batch: with the next batch prepared beside `forward`, "
        "with copies from pinned memory, with a CUDA graph by size bucket, and with 2 and 4 "
        "processes on the device.",
        "",
        f"| | {' | '.join(_TITLES)} |",
        f"|{'---|' * (len(_TITLES) + 1)}",
    ]
    for name, found in report["cases"].items():
        lines += _rows(name, found)
    lines += ["", *(f"- {name}: {why}" for name, why in _left_out(report["cases"]))]
    return "\n".join(lines).rstrip()


def _rows(name: str, found: Mapping[str, Any]) -> list[str]:
    speeds: Sequence[Mapping[str, float]] = found.get("batches", [])
    best = max(speeds, key=lambda one: one["per_second"], default=None)
    rows: list[str] = []
    for one in speeds:
        gains = ["", "", "", "", ""]
        if one is best:
            gains = [
                *(_gain(found.get(key)) for key in ("overlap", "copies", "graphs")),
                " / ".join(f"{value:.2f}" for value in _workers(found)),
                f"{found['difference']:.1e}" if "difference" in found else "",
            ]
        cells = (
            f"{one['batch']:.0f}",
            f"{one['per_second']:,.1f}",
            f"{1e3 / one['per_second']:.2f}",
            "" if one["memory_mb"] is None else f"{one['memory_mb']:,.0f}",
            *gains,
        )
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return rows


def _gain(found: Any) -> str:
    return f"{found['on'] / found['off']:.2f}" if found else ""


def _workers(found: Mapping[str, Any]) -> list[float]:
    rates: Mapping[str, float] = found.get("workers", {})
    return [rate / rates["1"] for number, rate in rates.items() if number != "1"]


def _left_out(cases: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(name, why) for name, found in cases.items() for why in found.get("failed", [])]
