"""Measure the time to a model's first answer, and the memory of its processes.

    python benchmarks/footprint.py [--pipeline nugraph3] [--runs 3]

Prints medians over several starts of the embedded server. Resident memory counts shared
pages (mostly libtorch's code) once per process; PSS divides them among their users.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import defaultdict

import psutil

import naiad
from naiad.core.pipeline import load_pipeline
from naiad.triton.stub_watch import WORKER


def kind_of(process: psutil.Process) -> str:
    line = " ".join(process.cmdline())
    if WORKER in line:
        return "worker (model process)"
    if "triton_python_backend_stub" in line:
        return "stub (decode, validate, batch)"
    return "tritonserver"


def one_start(pipeline: str) -> tuple[float, float, dict[str, list[tuple[float, float]]]]:
    """Return seconds to the first answer, those of a second, and (RSS, PSS) in MB by process."""
    example = load_pipeline(pipeline)().example()
    began = time.perf_counter()
    with naiad.serve(pipeline, http_port=0, grpc_port=0, metrics_port=0) as server:
        started = time.perf_counter() - began
        client = server.client()
        name = server.models[0]
        again = time.perf_counter()
        client.infer(name, example)
        again = time.perf_counter() - again
        memory: dict[str, list[tuple[float, float]]] = defaultdict(list)
        root = psutil.Process(server.pid)
        for process in [root, *root.children(recursive=True)]:
            info = process.memory_full_info()
            memory[kind_of(process)].append((info.rss / 1e6, info.pss / 1e6))
    return started, again, memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pipeline", default="nugraph3")
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    runs = [one_start(args.pipeline) for _ in range(args.runs)]
    print(f"pipeline {args.pipeline}, medians of {args.runs} starts")
    print(f"serve() to the first answer   {statistics.median(r[0] for r in runs):6.2f} s")
    print(f"an answer after that          {statistics.median(r[1] for r in runs) * 1e3:6.2f} ms")
    for kind in runs[0][2]:
        numbers = [pair for run in runs for pair in run[2][kind]]
        rss, pss = (statistics.median(values) for values in zip(*numbers, strict=True))
        count = len(runs[0][2][kind])
        print(f"{kind:30s}{rss:6.0f} MB resident, {pss:.0f} MB proportional, each of {count}")


if __name__ == "__main__":
    main()
