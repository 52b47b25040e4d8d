"""A process that runs one pipeline in batches: prints its requests per second when told to go."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from benchmarks.gpu.cases import CASES

from naiad.errors import NaiadError


def main() -> None:
    order = json.loads(sys.argv[1])
    (case,) = (case for case in CASES if case.name == order["case"])
    weights = Path(order["weights"]) if order["weights"] else None
    runner = case.runner(order["device"], weights, tiny=order["tiny"])
    requests = case.checked(order["batch"], runner, tiny=order["tiny"])
    runner.run(requests)
    print("ready", flush=True)
    sys.stdin.readline()
    began, done = time.perf_counter(), 0
    while done == 0 or time.perf_counter() - began < order["seconds"]:
        for outcome in runner.run(requests).outcomes:
            if isinstance(outcome, NaiadError):
                raise outcome
        done += len(requests)
    print(done / (time.perf_counter() - began), flush=True)


if __name__ == "__main__":
    main()
