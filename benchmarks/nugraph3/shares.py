"""CPU time of a served event, by process and thread, beside that of the loop without a server.

    python -m benchmarks.nugraph3.shares [--size small] [--clients 16] [--runs 5] [--seconds 3]
                                        [--docs]

Serves NuGraph3 with its defaults and runs the loop of :mod:`benchmarks.nugraph3.loop` and the load
generator in turn. CPU time depends little on what else runs on the machine, so a share of it says
more than throughput there. ``ceiling`` is what served throughput can be of the loop's if no core
idles: the loop's CPU time per event by that of all processes, with and without the load generator,
which shares the cores. Prints medians of the rounds, in Markdown. Linux only.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import psutil
from benchmarks.nugraph3.inputs import SIZES, make_weights, simulated
from benchmarks.nugraph3.loop import Loop
from benchmarks.nugraph3.page import write_section
from benchmarks.nugraph3.rounds import target_of
from benchmarks.nugraph3.sides import NAIAD, Side

import naiad
from naiad.bench.load import Load, Log, drive
from naiad.bench.measure import run
from naiad.bench.target import Target

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"
COMMAND = "benchmarks.nugraph3.shares"
GENERATOR, LOOP = "load generator", "loop without a server"
_BATCH = 16
_EVENTS = 16
_NAMES = {
    "naiad worker": "Triton: thread of a Naiad worker (batching, copies, replies)",
    "python": "worker process (prepare, forward, checks)",
    "tritonserver": "Triton: gRPC and scheduling",
}
"""Thread names by what they do; others are gRPC's own."""

Spent = dict[str, tuple[float, float]]
"""By part, microseconds of CPU time and number of sleeps per event."""


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.nugraph3.shares",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--runs", type=int, default=5, help="rounds; 5 by default")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument(
        "--docs", action="store_true", help="write the table of docs/performance.md"
    )
    args = parser.parse_args()
    with TemporaryDirectory() as scratch:
        weights = Path(scratch) / "weights"
        make_weights(weights)
        events = simulated(args.size, _EVENTS)
        free = {"http_port": 0, "grpc_port": 0, "metrics_port": 0}
        with (
            naiad.serve("nugraph3", weights=weights, **free) as server,
            Loop(weights, _EVENTS) as loop,
        ):
            assert server.pid is not None
            target = target_of(Side(NAIAD, "nugraph3", server.grpc_url, server.pid), events)
            loop.run(args.size, _BATCH, args.seconds / 4)
            rounds = run(measure(target, server.pid, loop, args))
    text = table(rounds)
    print(text)
    if args.docs:
        write_section(PAGE, text, COMMAND)


async def measure(target: Target, server: int, loop: Loop, args: argparse.Namespace) -> list[Spent]:
    """Return what each part spent, in each round."""
    rounds: list[Spent] = []
    for _ in range(args.runs):
        pace = await asyncio.to_thread(loop.run, args.size, _BATCH, args.seconds)
        found = await served(target, server, args.clients, args.seconds)
        rounds.append(found | {LOOP: (1e6 * pace.cpu, 0.0)})
    await target.close()
    return rounds


async def served(target: Target, server: int, clients: int, seconds: float) -> Spent:
    """Return what the server's threads and the generator spend on an event."""
    log, stop = Log(), asyncio.Event()
    load = asyncio.create_task(drive(Load("concurrency", clients), target.send, log, stop, seed=0))
    await asyncio.sleep(seconds / 4)
    start, before, own = log.now(), dict(threads(server)), time.process_time()
    await asyncio.sleep(seconds)
    end, after, own = log.now(), dict(threads(server)), time.process_time() - own
    stop.set()
    await load
    events = len(log.done_in(start, end))
    totals: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for key, (name, spent, sleeps) in after.items():
        if key in before:
            part = totals[_NAMES.get(name, "Triton: gRPC's own threads")]
            part[0] += (spent - before[key][1]) / 1e3 / events
            part[1] += (sleeps - before[key][2]) / events
    parts = {name: (spent, sleeps) for name, (spent, sleeps) in totals.items()}
    return parts | {GENERATOR: (1e6 * own / events, 0.0)}


def threads(server: int) -> Iterator[tuple[tuple[int, str], tuple[str, int, int]]]:
    """Yield each thread's name, nanoseconds of CPU time and sleeps so far, by process and id."""
    root = psutil.Process(server)
    for process in (root, *root.children(recursive=True)):
        for folder in Path(f"/proc/{process.pid}/task").iterdir():
            status = (folder / "status").read_text()
            sleeps = int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])
            spent = int((folder / "schedstat").read_text().split()[0])
            name = (folder / "comm").read_text().strip()
            yield (process.pid, folder.name), (name, spent, sleeps)


def table(rounds: list[Spent]) -> str:
    """Return the medians in Markdown, with what they bound."""
    middle = {
        part: [median(one.get(part, (0.0, 0.0))[place] for one in rounds) for place in (0, 1)]
        for part in {part: None for one in rounds for part in one}
    }
    loop = middle.pop(LOOP)[0]
    lines = ["| part | µs of CPU per event | of the loop | sleeps per event |", "|---|---|---|---|"]
    for part, (spent, sleeps) in sorted(middle.items(), key=lambda found: -found[1][0]):
        lines.append(f"| {part} | {spent:,.0f} | {spent / loop:.3f} | {sleeps:.2f} |")
    lines.append(f"| {LOOP} | {loop:,.0f} | 1 | |")
    everything = sum(spent for spent, _ in middle.values())
    server = everything - middle[GENERATOR][0]
    lines += [
        "",
        f"Ceiling: {loop / everything:.3f}; {loop / server:.3f} if the load generator "
        "has cores of its own.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
