"""The same pipeline without a server: a loop over batches in one process per core.

As a program, it answers lines of JSON ``{"size", "batch", "seconds"}`` with the events per second,
and the CPU seconds of each event. All processes start when told to.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from statistics import mean
from types import TracebackType

from benchmarks.nugraph3.inputs import SIZES, Size, simulated

from naiad.applications.nugraph.schema import INPUTS
from naiad.core.pipeline import Request
from naiad.core.schema import validate
from naiad.errors import NaiadError
from naiad.runtime.environment import worker_environment
from naiad.runtime.spec import Spec
from naiad.runtime.worker import load

BATCHES = (1, 2, 4, 8, 16)


@dataclass(frozen=True, slots=True)
class Pace:
    """Events per second, and CPU seconds per event."""

    throughput: float
    cpu: float


class Loop:
    """Processes, one per core, each with Naiad's pipeline set up as in a worker."""

    def __init__(self, weights: Path, events: int, processes: int | None = None) -> None:
        """Start the processes; they load in the background."""
        command = [sys.executable, "-m", __spec__.name, str(weights), str(events)]
        self._processes = [
            subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=worker_environment(threads=1),
                cwd=Path(__file__).parents[2],
            )
            for _ in range(processes or len(os.sched_getaffinity(0)))
        ]

    def run(self, size: Size, batch: int, seconds: float) -> Pace:
        """Measure the pace of all processes together, in batches of ``batch`` events."""
        line = json.dumps({"size": size, "batch": batch, "seconds": seconds})
        for process in self._processes:
            assert process.stdin is not None
            print(line, file=process.stdin, flush=True)
        paces: list[Pace] = []
        for process in self._processes:
            assert process.stdout is not None
            paces.append(Pace(**json.loads(process.stdout.readline())))
        return Pace(sum(p.throughput for p in paces), mean(p.cpu for p in paces))

    def best_batch(self, size: Size, seconds: float) -> int:
        """Return the fastest batch size."""
        return max(BATCHES, key=lambda batch: self.run(size, batch, seconds).throughput)

    def __enter__(self) -> Loop:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.communicate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights")
    parser.add_argument("events", type=int)
    args = parser.parse_args()
    runner = load(
        Spec("naiad.applications.nugraph.pipeline:NuGraph3", args.weights, "cpu", threads=1)
    )
    requests = {
        size: [Request(a, validate(INPUTS, a)) for a in simulated(size, args.events).requests]
        for size in SIZES
    }
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        order = json.loads(line)
        own, batch = requests[order["size"]], order["batch"]
        began, cpu, done = time.perf_counter(), time.process_time(), 0
        for turn in count():
            chosen = [own[(turn * batch + i) % len(own)] for i in range(batch)]
            for outcome in runner.run(chosen).outcomes:
                if isinstance(outcome, NaiadError):
                    raise outcome
            done += batch
            if time.perf_counter() - began >= order["seconds"]:
                break
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        print(json.dumps(asdict(Pace(done / seconds, cpu / done))), flush=True)


if __name__ == "__main__":
    main()
