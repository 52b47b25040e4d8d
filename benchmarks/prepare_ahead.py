"""Compare preparing requests beside ``forward`` with preparing them before it.

    python -m benchmarks.prepare_ahead [--runs 5] [--seconds 2]    on a server
    python -m benchmarks.prepare_ahead --where [--runs 5]          in a thread, or in a process

On a server: 1, 8 and 32 clients in turn send NuGraph3's simulated events to models that only differ
in ``prepare_threads`` and workers. ``forward`` runs the network on the CPU, or sleeps as long as a
GPU might take: 4 ms per batch and 0.1 ms per event. Prints medians of the ratios within each round,
with their ranges; CPU is that of the whole server per answer.

In a thread, or in a process: one batch is prepared while ``forward`` runs another that takes as
long. There are four ways to prepare, and two of ``forward``: a sleep, or 300 small torch
operations, each of which releases and reacquires the interpreter's lock, and a sleep.
``concurrent.futures`` sends samples back from the process. Prints medians of the ratios within each
round.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from benchmarks.nugraph3.inputs import simulated
from benchmarks.nugraph3.speed import Moment, Speed, speed
from rich.console import Console
from rich.table import Table

from naiad import Client, Server
from naiad.applications.nugraph.pipeline import NuGraph3, example_event
from naiad.bench.measure import run
from naiad.bench.target import Target
from naiad.client.access import Access
from naiad.client.address import Address
from naiad.client.spec import ModelSpec
from naiad.core.pipeline import default_weights
from naiad.core.schema import REQUESTS
from naiad.triton.repository import export

FREE = {"http_port": 0, "grpc_port": 0, "metrics_port": 0}
SWITCHES = {"thread": 5e-3, "thread, 0.1 ms": 1e-4}
"""Ways to prepare in a thread: seconds it may hold the lock."""


class Serial(NuGraph3):
    """NuGraph3, prepared in the thread of ``forward``."""

    prepare_threads = 0
    weights = default_weights(NuGraph3)


class Ahead(Serial):
    """The same, prepared beside ``forward``."""

    prepare_threads = 1


class SleepingSerial(Serial):
    """The same, ``forward`` of which takes no core."""

    def forward(self, batch: Any) -> dict[str, Any]:
        time.sleep(4e-3 + 1e-4 * batch.requests)
        found: dict[str, Any] = {}
        for name, tensor in self.result.items():
            shape = [batch.requests if d == REQUESTS else d for d in tensor.dims]
            shape = [batch.total(d) if isinstance(d, str) else d for d in shape]
            found[name] = torch.zeros(shape, dtype=getattr(torch, tensor.dtype))
        return found


class SleepingAhead(SleepingSerial):
    """The same, prepared beside ``forward``."""

    prepare_threads = 1


class TwoWorkers(Serial):
    """The same, by two workers."""


SIDES: dict[str, dict[str, type[NuGraph3]]] = {
    "sleeps": {"serial": SleepingSerial, "ahead": SleepingAhead},
    "computes": {"serial": Serial, "ahead": Ahead, "two workers": TwoWorkers},
}


def serve(seconds: float, runs: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        repository = Path(folder) / "models"
        for models in SIDES.values():
            for name, kind in models.items():
                workers = 2 if name == "two workers" else 1
                export(f"{__file__}:{kind.__name__}", repository, instances=workers)
        with Server(repository, **FREE) as server:
            run(compare(server, Moment(seconds / 4, seconds), runs))


async def compare(server: Server, moment: Moment, runs: int) -> None:
    events = list(simulated("small", 32).requests)
    for title, models in SIDES.items():
        targets: dict[str, Target] = {}
        for name, kind in models.items():
            with Client(server.grpc_url) as client:
                spec = ModelSpec.from_config(client.config(kind.name))
            address = Address.parse(server.grpc_url)
            targets[name] = Target(address, spec, events, access=Access())
        for clients in (1, 8, 32):
            rounds: list[dict[str, Speed]] = []
            for number in range(runs):
                turn = number % len(targets)
                order = [*targets][turn:] + [*targets][:turn]
                rounds.append(
                    {n: await speed(targets[n], clients, moment, server=server.pid) for n in order}
                )
            Console().print(table(rounds, f"forward {title}, {clients} at once"))
        for target in targets.values():
            await target.close()


def table(rounds: list[dict[str, Speed]], title: str) -> Table:
    columns = ("", "requests/s", "of serial (range)", "p50 ms", "p99 ms", "CPU ms", "of serial")
    made = Table(*columns, title=title)
    for name in rounds[0]:
        mine = [one[name] for one in rounds]
        ratios = [one[name].throughput / one["serial"].throughput for one in rounds]
        made.add_row(
            name,
            f"{median(s.throughput for s in mine):,.0f}",
            f"{median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})",
            f"{1e3 * median(s.p50 for s in mine):.2f}",
            f"{1e3 * median(s.p99 for s in mine):.2f}",
            f"{1e3 * median(s.server_cpu for s in mine):.2f}",
            f"{median(one[name].server_cpu / one['serial'].server_cpu for one in rounds):.2f}",
        )
    return made


def hooks() -> dict[str, tuple[Callable[[], object], int]]:
    """Return functions that prepare one request, with their calls per batch, by name."""
    from benchmarks.images import picture
    from benchmarks.medical import chest

    from naiad.applications.image.decode import decode
    from naiad.applications.medical import nifti
    from naiad.applications.medical.covid_ct.volumes import prepare as crop
    from naiad.applications.nugraph.prepare import prepare as triangulate

    event = example_event()
    photograph = picture(1024, 768, "JPEG")
    scan = nifti.write(chest((128, 128, 64)), np.diag([2.0, 2.0, 3.0, 1.0]))
    text = json.dumps([{"x": number, "y": str(number)} for number in range(1500)])

    def python() -> object:
        rows = json.loads(text)
        return np.array([row["x"] * len(row["y"]) % 13 for row in rows for _ in range(3)])

    return {
        "Qhull (NuGraph3)": (lambda: triangulate(event), 8),
        "JPEG": (lambda: decode([photograph], 299, 299, name="x"), 1),
        "NIfTI": (lambda: crop(scan, "x"), 1),
        "Python": (python, 4),
    }


class Ways:
    """Preparation of batches here, in a thread or in a process, beside ``forward`` or before it."""

    def __init__(self, prepare: Callable[[], object], count: int) -> None:
        def batch() -> list[object]:
            return [prepare() for _ in range(count)]

        global _batch  # the process, a fork, inherits it
        self._here = _batch = batch
        self._thread = ThreadPoolExecutor(1)
        self._process = ProcessPoolExecutor(1, multiprocessing.get_context("fork"))
        self._process.submit(_prepared).result()

    def close(self) -> None:
        self._thread.shutdown()
        self._process.shutdown()

    def time(self, way: str, forward: Callable[[], None], seconds: float) -> tuple[float, float]:
        """Return the seconds per batch, and those in ``forward``."""
        sys.setswitchinterval(SWITCHES.get(way, 5e-3))
        beside: Executor | None = self._process if way == "process" else self._thread
        beside = None if way == "serial" else beside
        start, count, running = time.perf_counter(), 0, 0.0
        coming = beside.submit(_prepared) if beside else None
        while time.perf_counter() - start < seconds:
            if coming is None or beside is None:
                self._here()
            else:
                coming.result()
                coming = beside.submit(_prepared)
            begun = time.perf_counter()
            forward()
            running += time.perf_counter() - begun
            count += 1
        if coming is not None:
            coming.result()
        return (time.perf_counter() - start) / count, running / count


def _prepared() -> list[object]:
    return _batch()


def _batch() -> list[object]:
    return []


def where(runs: int, seconds: float) -> None:
    small = [torch.zeros(64) for _ in range(4)]
    names = ("serial", *SWITCHES, "process")
    title = "a batch, of serial (its forward alone)"
    made = Table("prepare", "forward", "serial ms", *names[1:], title=title)
    for what, (prepare, count) in hooks().items():
        prepare()
        start = time.perf_counter()
        for _ in range(count):
            prepare()
        took = time.perf_counter() - start

        def sleep(took: float = took) -> None:
            time.sleep(took)

        def launch(took: float = took) -> None:
            for number in range(300):
                small[number % 4].add_(1)
            time.sleep(0.8 * took)

        ways = Ways(prepare, count)
        for kind, forward in (("sleep", sleep), ("300 operations", launch)):
            rounds = [{n: ways.time(n, forward, seconds) for n in names} for _ in range(runs)]
            cells = [f"{1e3 * median(one['serial'][0] for one in rounds):.1f}"]
            for name in names[1:]:
                batch, alone = (
                    median(one[name][part] / one["serial"][part] for one in rounds)
                    for part in (0, 1)
                )
                cells.append(f"{batch:.2f} ({alone:.2f})")
            made.add_row(what, kind, *cells)
        ways.close()
    Console().print(made)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, help="of each measurement; 2, or 0.5 of --where")
    parser.add_argument("--where", action="store_true")
    args = parser.parse_args()
    if args.where:
        torch.set_num_threads(1)
        where(args.runs, args.seconds or 0.5)
    else:
        serve(args.seconds or 2, args.runs)


if __name__ == "__main__":
    main()
