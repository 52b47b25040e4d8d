"""Naiad's NuGraph3 against a plain deployment of the same network.

    python -m benchmarks.nugraph3 [--runs 5] [--quick] [--output DIR] [--docs]

Serves the reference of :mod:`benchmarks.reference` in two settings and Naiad's pipeline with its
defaults, all with the same weights on the same Triton, checks that they give the same answers, and
measures them in turn, round after round. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.nugraph3.answers import ask, largest_difference
from benchmarks.nugraph3.goals import Outcome, judge, outcome
from benchmarks.nugraph3.inputs import SIZES, Events, Size, make_weights, simulated
from benchmarks.nugraph3.loop import Loop
from benchmarks.nugraph3.page import machine, plot, section, write_section
from benchmarks.nugraph3.rounds import Round, Rounds, steps
from benchmarks.nugraph3.sides import NAIAD, SETTINGS, Side, serving
from benchmarks.nugraph3.speed import Moment
from benchmarks.overhead import __main__ as overhead
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from naiad.bench.measure import run

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "performance.md"
PICTURE = ROOT / "docs" / "images" / "benchmark.png"

_KILOBYTE = 1024

console = Console(stderr=True)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.nugraph3",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--runs", type=int, default=5, help="rounds; 5 by default")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--quick", action="store_true", help="one short round: does it work?")
    parser.add_argument("--checkpoint", type=Path, help="a checkpoint of the original's weights")
    parser.add_argument("--output", type=Path, help="write report.json and section.md there")
    parser.add_argument(
        "--docs", action="store_true", help="write the table of docs/performance.md"
    )
    args = parser.parse_args(arguments)
    os.chdir(ROOT)  # for workers and the loop to find this package
    runs, moment, number, instances = args.runs, Moment(1.0, args.seconds), 16, None
    variables: dict[str, str] = {}
    if args.quick:
        runs, moment, number, instances = 1, Moment(0.2, 0.4), 2, 1
        # On a busy machine, an event may take five seconds with two threads of torch.
        variables = {"OMP_NUM_THREADS": "1"}
    began = time.perf_counter()
    with TemporaryDirectory() as scratch, console.status("starting") as status:
        status.update("measuring a pipeline that does nothing")
        echo = measure_echo(runs, moment, instances)
        status.update("simulating events")
        weights = Path(scratch) / "weights"
        words = make_weights(weights, args.checkpoint)
        events = {size: simulated(size, number) for size in SIZES}
        status.update("starting three servers' models and a loop")
        with (
            Loop(weights, number, instances) as loop,
            serving(weights, instances=instances, variables=variables) as sides,
        ):
            status.update("comparing answers")
            same = run(compare(sides, events))
            status.update("looking for the loop's best batch")
            batches = {size: loop.best_batch(size, moment.seconds / 4) for size in SIZES}
            status.stop()
            rounds = run_rounds(runs, Rounds(sides, events, loop, batches, moment), len(sides))
    outcomes = [*judge(rounds), echo, same]
    command = " ".join(["python -m benchmarks.nugraph3", *(arguments or sys.argv[1:])])
    when = datetime.now(timezone.utc).strftime("%Y-%m-%d")
    text = section(outcomes, rounds, events, batches, command=command, weights=words, when=when)
    print(text)
    if args.output is not None:
        args.output.mkdir(parents=True, exist_ok=True)
        (args.output / "section.md").write_text(text + "\n", "utf-8")
        report = {
            "command": command,
            "machine": machine(),
            "outcomes": [found.to_json() for found in outcomes],
            "rounds": [found.to_json() for found in rounds],
        }
        (args.output / "report.json").write_text(json.dumps(report, indent=1), "utf-8")
    if args.docs:
        plot(rounds, PICTURE)
        link = PICTURE.relative_to(PAGE.parent)
        write_section(PAGE, f"{text}\n\n![Answers per second, by clients and side]({link})")
    console.print(f"{time.perf_counter() - began:.0f} s in all", highlight=False)


def measure_echo(runs: int, moment: Moment, instances: int | None) -> Outcome:
    """Compare an echo pipeline with an echo in a bare Python model."""
    with overhead.serving(instances) as server:
        times = argparse.Namespace(runs=runs, seconds=moment.seconds)
        rounds = run(overhead.compare(server, _KILOBYTE // 4, 8, times))
    return outcome(
        "throughput, 8 clients, an echo of 1 KB, to a bare Python model",
        "at least",
        0.8,
        [found[overhead.NAIAD].throughput / found[overhead.BARE].throughput for found in rounds],
    )


async def compare(sides: dict[str, Side], events: dict[Size, Events]) -> Outcome:
    """Check that both sides give the same answers, and compare batched answers to single ones.

    Raises:
        RuntimeError: the reference and Naiad answer differently; nothing can be compared.
    """
    requests = [request for size in SIZES for request in events[size].requests]
    one_by_one = await ask(sides[NAIAD], requests, at_once=1)
    for name in SETTINGS.values():
        share, worst = largest_difference(one_by_one, await ask(sides[name], requests, at_once=8))
        if share > 1:
            raise RuntimeError(f"{name} and {NAIAD} differ by {worst}: not the same network")
    # Many times, since merging is random.
    shares = [
        largest_difference(one_by_one, await ask(sides[NAIAD], requests, at_once=len(requests)))[0]
        for _ in range(3)
    ]
    return outcome(
        "largest difference of batched to single answers, in tolerances",
        "at most",
        1,
        [max(shares)],
    )


def run_rounds(runs: int, rounds: Rounds, sides: int) -> list[Round]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=steps(runs, range(sides)))
        told = iter(range(-1, 1 << 62))

        def on_step(what: str) -> None:
            progress.update(task, description=what, completed=max(0, next(told) + 1))

        found = run(rounds.run(runs, on_step))
        progress.update(task, completed=progress.tasks[0].total)
        return found


if __name__ == "__main__":
    main()
