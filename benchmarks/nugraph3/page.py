"""The section of ``docs/performance.md`` that a run writes, and its plot."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median

from benchmarks.nugraph3.goals import Outcome
from benchmarks.nugraph3.inputs import SIZES, Events, Size
from benchmarks.nugraph3.rounds import CLIENTS, MANY, Round
from benchmarks.nugraph3.sides import NAIAD, SETTINGS
from matplotlib.figure import Figure

from naiad.engine_release import RELEASE

BENCH = "make bench"
_LEGEND = {"loc": "outside lower center", "ncols": 3, "frameon": False, "fontsize": 8}
_COLOURS = ("#9aa5b1", "#6c8ebf", "#1f4e79")


def processor() -> str:
    """Return the processor's name."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = (line for line in info.read_text().splitlines() if line.startswith("model name"))
        cpu = next(names, f":{cpu}").partition(":")[2].strip()
    return cpu


def machine() -> str:
    """Describe the processor and the versions of packages."""
    cores = len(os.sched_getaffinity(0))
    packages = ("naiad", "torch", "torch_geometric", "pandas", "scipy")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    versions += f", Triton {RELEASE.triton}"
    return f"{processor()}, {cores} cores; Python {platform.python_version()}, {versions}"


def section(
    outcomes: Sequence[Outcome],
    rounds: Sequence[Round],
    events: Mapping[Size, Events],
    batches: Mapping[Size, int],
    *,
    command: str,
    weights: str,
    when: str,
) -> str:
    """Return the Markdown between the markers."""
    sizes = ", ".join(
        f"{size} ones have {events[size].median('hit_table_hit_id'):,} hits and "
        f"{events[size].median('spacepoint_table_spacepoint_id'):,} spacepoints"
        for size in SIZES
    )
    return "\n".join(
        [
            f"Medians of {len(rounds)} rounds on {when}, with the range of the rounds; "
            f"`{command}`; {weights}; simulated events, in the middle {sizes}. {machine()}.",
            "",
            "| ratio | target | median | range | |",
            "|---|---|---|---|---|",
            *(f"| {' | '.join(outcome.row())} |" for outcome in outcomes),
            "",
            "Medians behind these ratios; latencies and CPU per answer in milliseconds. "
            f"The loop runs batches of {batches['small']} small or {batches['large']} large "
            "events, which is where it is fastest.",
            "",
            "| | events | 1 client: p50 | p99 | answers/s | 8 clients: answers/s "
            f"| {MANY} clients: answers/s | CPU of the server (8 clients) | of the generator |",
            "|---|---|---|---|---|---|---|---|---|",
            *_speeds(rounds),
            "",
            *(_bound(rounds, size) for size in SIZES),
        ]
    )


def write_section(page: Path, text: str, command: str = BENCH) -> None:
    """Replace the text between the markers of a command on ``page``.

    Raises:
        ValueError: the page has no such markers.
    """
    begin, end = f"<!-- {command}: begin -->", f"<!-- {command}: end -->"
    before, found, rest = page.read_text("utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{page} has no {begin} and {end}")
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}", "utf-8")


def plot(rounds: Sequence[Round], path: Path) -> None:
    """Plot the throughput of each side by number of clients, a panel per size of event."""
    figure = Figure(figsize=(7.5, 3.2), layout="constrained")
    panels = figure.subplots(1, len(SIZES))
    sides = (*SETTINGS.values(), NAIAD)
    for axes, size in zip(panels, SIZES, strict=True):
        for place, (side, colour) in enumerate(zip(sides, _COLOURS, strict=True)):
            found = [_answers(rounds, size, clients, side) for clients in CLIENTS]
            label = side if side == NAIAD else f"reference, {side}"
            where = [number + 0.27 * (place - 1) for number in range(len(CLIENTS))]
            bars = axes.bar(where, found, 0.25, color=colour, label=label)
            axes.bar_label(bars, [f"{value:.0f}" for value in found], fontsize=8)
        axes.set_xticks(range(len(CLIENTS)), [f"{n} client{'s' * (n > 1)}" for n in CLIENTS])
        axes.set_title(f"{size} events", fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("answers per second")
    figure.legend(*panels[0].get_legend_handles_labels(), **_LEGEND)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def _answers(rounds: Sequence[Round], size: Size, clients: int, side: str) -> float:
    return median(found.speeds[size, clients, side].throughput for found in rounds)


def _speeds(rounds: Sequence[Round]) -> list[str]:
    rows: list[str] = []
    for size in SIZES:
        for side in (*SETTINGS.values(), NAIAD):
            ones = [found.speeds[size, 1, side] for found in rounds]
            eights = [found.speeds[size, 8, side] for found in rounds]
            many = f"{_answers(rounds, size, MANY, side):.1f}" if side == NAIAD else ""
            cells = (
                side if side == NAIAD else f"reference, {side}",
                size,
                f"{1e3 * median(one.p50 for one in ones):.1f}",
                f"{1e3 * median(one.p99 for one in ones):.1f}",
                f"{median(one.throughput for one in ones):.1f}",
                f"{median(eight.throughput for eight in eights):.1f}",
                many,
                f"{1e3 * median(eight.server_cpu for eight in eights):.1f}",
                f"{1e3 * median(eight.generator_cpu for eight in eights):.1f}",
            )
            rows.append(f"| {' | '.join(cells)} |")
        loop = median(found.loop[size].throughput for found in rounds)
        cpu = 1e3 * median(found.loop[size].cpu for found in rounds)
        rows.append(f"| a loop without a server | {size} | | | | | {loop:.1f} | {cpu:.1f} | |")
    return rows


def _bound(rounds: Sequence[Round], size: Size) -> str:
    """Describe the cost of serving when all cores are busy."""
    many = [found.speeds[size, MANY, NAIAD] for found in rounds]
    server = 1e3 * median(found.server_cpu for found in many)
    client = 1e3 * median(found.generator_cpu for found in many)
    loop = 1e3 * median(found.loop[size].cpu for found in rounds)
    return (
        f"With {MANY} clients a {size} event takes {server + client:.1f} ms of CPU, "
        f"{client:.1f} of them in the load generator, and {loop:.1f} in the loop: while all cores "
        f"are busy, served throughput is {loop / (server + client):.2f} of the loop's."
    )
