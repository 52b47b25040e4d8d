"""Tables of a report as text, for the terminal and HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from naiad.bench.measure import Level
from naiad.bench.report import Comparison


@dataclass(frozen=True, slots=True)
class Table:
    """A title, names of columns, and rows of the same length."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def speed_table(levels: Sequence[Level]) -> Table:
    """Tabulate throughput and latency by load; batch sizes if the server reports them."""
    with_server = any(level.server is not None for level in levels)
    columns = ("load", "answers/s", "p50", "p90", "p99", "errors", "kB out/in")
    columns = (*columns, *(("batch",) if with_server else ()), "CPU", "windows")
    return Table(
        "Speed: latency in ms, requests per batch, CPU of the load generator",
        columns,
        tuple(_speed_row(level, with_server) for level in levels),
    )


def stage_table(levels: Sequence[Level]) -> Table | None:
    """Tabulate the time of a request by part and load; None without metrics of the server."""
    told = [(level.load, parts) for level in levels if (parts := level.parts()) is not None]
    if not told:
        return None
    return Table(
        "Milliseconds of a request",
        ("load", *told[0][1]),
        tuple((str(load), *map(_ms, parts.values())) for load, parts in told),
    )


def batch_table(levels: Sequence[Level]) -> Table | None:
    """Tabulate the mean batch by dimension and load; None without metrics of the server."""
    told = [(level.load, level.server.batch) for level in levels if level.server is not None]
    if not told:
        return None
    dims = sorted({dim for _, batch in told for dim in batch}, key=lambda d: (d != "requests", d))
    return Table(
        "Mean size of a batch",
        ("load", *dims),
        tuple(
            (str(load), *(f"{batch[dim]:,.1f}" if dim in batch else "-" for dim in dims))
            for load, batch in told
        ),
    )


def comparison_table(comparisons: Sequence[Comparison]) -> Table:
    """Tabulate ratios to an earlier report."""
    return Table(
        "Ratio to the baseline",
        ("load", "answers/s", "p50", "p99"),
        tuple(
            (str(c.load), *(_times(ratio) for ratio in (c.throughput, c.p50, c.p99)))
            for c in comparisons
        ),
    )


def _speed_row(level: Level, with_server: bool) -> tuple[str, ...]:
    latency = level.latency
    batch = (f"{level.server.batch.get('requests', 0):.1f}" if level.server else "",)
    return (
        str(level.load),
        f"{level.throughput:,.4g}" if level.throughput < 1000 else f"{level.throughput:,.0f}",
        *(_ms(s) for s in ((latency.p50, latency.p90, latency.p99) if latency else [None] * 3)),
        _errors(level),
        f"{level.sent_bytes / 1e3:.1f}/{level.received_bytes / 1e3:.1f}",
        *(batch if with_server else ()),
        f"{100 * level.generator_cpu:.0f} %",
        str(level.windows),
    )


def _errors(level: Level) -> str:
    kinds = (f"{count:,} {kind}" for kind, count in sorted(level.errors.items()))
    return ", ".join(kinds) or "0"


def _ms(seconds: float | None) -> str:
    return (
        "-"
        if seconds is None
        else f"{1e3 * seconds:.2f}"
        if seconds < 0.1
        else f"{1e3 * seconds:.0f}"
    )


def _times(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f} x"
