"""Compare `naiad process` with a loop of `naiad infer`, and measure its memory.

    python benchmarks/bulk.py [--files 8] [--events 250] [--rounds 3] [--large 20000] [--local]

Each round sends the same simulated event files to the same running server: one after the other with
`naiad infer -o`, and all with `naiad process`. Events per second are those of the whole commands,
including the start of Python; on a shared machine the ratios are more reliable. With `--local`,
`naiad process --local` is measured, including the start and stop of its server.

The peak memory is that of the command's process only, for a file of a tenth of `--large` events and
one of all of them. The large files repeat simulated events under new numbers.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path

import naiad
from naiad.applications.nugraph.events import Event, write_events
from naiad.applications.nugraph.simulate import simulate

NAIAD = [sys.executable, "-c", "from naiad.cli.main import main; main()"]
DIFFERENT = 200  # events of a large file


def run(*words: object) -> tuple[float, float]:
    """Return the seconds that a command took, and its peak memory in MB."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [*NAIAD, *map(str, words)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{words} ended with status {process.returncode}")
    return time.perf_counter() - began, usage.ru_maxrss / 1024


def repeated(events: list[Event], count: int) -> Iterator[Event]:
    for number, event in enumerate(islice(cycle(events), count)):
        yield replace(event, subrun=number // 1000, event=number, truth=None)


def compare(folder: Path, url: str, files: int, events: int, rounds: int, local: bool) -> None:
    source = simulate(files * events, seed=1)
    inputs = [folder / f"{number}.h5" for number in range(files)]
    for path in inputs:
        write_events(path, islice(source, events))
    rates: dict[str, list[float]] = {"infer": [], "process": []}
    for _ in range(rounds):
        results = Path(tempfile.mkdtemp(dir=folder))
        began = time.perf_counter()
        for path in inputs:
            run("infer", "nugraph3", path, "-o", results / path.name, "--url", url)
        rates["infer"].append(files * events / (time.perf_counter() - began))
        where = ["--local"] if local else ["--server", url]
        seconds, _ = run("process", "nugraph3", *inputs, "-o", results / "bulk", *where)
        rates["process"].append(files * events / seconds)
        shutil.rmtree(results)
    ratios = [p / i for p, i in zip(rates["process"], rates["infer"], strict=True)]
    print(f"{files} files of {events} events, medians of {rounds} rounds")
    for name, values in rates.items():
        print(f"  {name:8} {statistics.median(values):8.1f} events/s")
    print(f"  ratio    {statistics.median(ratios):8.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


def memory(folder: Path, url: str, large: int) -> None:
    events = list(simulate(DIFFERENT, seed=2))
    for count in (large // 10, large):
        path = folder / f"large-{count}.h5"
        write_events(path, repeated(events, count))
        seconds, peak = run("process", "nugraph3", path, "-o", folder / "out", "--server", url)
        print(
            f"  {count:8,} events in one file: peak {peak:.0f} MB, {count / seconds:.1f} events/s",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in {"files": 8, "events": 250, "rounds": 3, "large": 20_000}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--local", action="store_true")
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        naiad.serve("nugraph3", http_port=0, grpc_port=0, metrics_port=0) as server,
    ):
        sizes = (given.files, given.events, given.rounds)
        compare(Path(folder), server.grpc_url, *sizes, given.local)
        memory(Path(folder), server.grpc_url, given.large)


if __name__ == "__main__":
    main()
