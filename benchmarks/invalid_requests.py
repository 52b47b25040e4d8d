"""Measure the cost of a request with a NaN to those that share a batch with it.

    python -m benchmarks.invalid_requests [--rounds 3] [--seconds 5]

In turn, 8 honest clients ask a pipeline whose requests the native backend merges: alone, beside an
honest ninth, and beside a ninth that sends a NaN in each request. The ninth has its own process.
Prints medians of the rounds; CPU time is that of all the server's processes, per answer to one of
the 8.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import multiprocessing
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from benchmarks.nugraph3.speed import Moment, Speed, speed
from rich.console import Console
from rich.table import Table

import naiad
from naiad.bench.measure import run
from naiad.bench.target import Target
from naiad.client.address import Address
from naiad.client.spec import ModelSpec

ALONE, HONEST, INVALID = "alone", "beside an honest one", "beside one that sends a NaN"
ROWS, COLUMNS = 64, 64


class Layers(naiad.Pipeline):
    """Two layers of a network, in NumPy: 0.1 ms per request."""

    inputs = {"x": naiad.Tensor("float32", ("rows", COLUMNS))}
    outputs = {"y": naiad.Tensor("float32", ("rows", COLUMNS))}
    arrays = "numpy"

    def setup(self, device: str) -> None:
        weights = np.random.default_rng(0).normal(0, 1 / 8, (2, COLUMNS, COLUMNS))
        self.weights = weights.astype(np.float32)

    def forward(self, batch: Any) -> dict[str, Any]:
        x = batch["x"]
        for weights in self.weights:
            x = np.tanh(x @ weights)
        return {"y": x}


def request(*, valid: bool) -> dict[str, Any]:
    x = np.random.default_rng(1).normal(0, 1, (ROWS, COLUMNS)).astype(np.float32)
    if not valid:
        x[-1, -1] = np.nan
    return {"x": x}


@contextmanager
def ninth(url: str, *, valid: bool) -> Iterator[None]:
    """Run a client that keeps sending requests."""
    fresh = multiprocessing.get_context("spawn")
    stop = fresh.Event()
    process = fresh.Process(target=_ask, args=(url, valid, stop), daemon=True)
    process.start()
    try:
        yield
    finally:
        stop.set()
        process.join()


def _ask(url: str, valid: bool, stop: threading.Event) -> None:
    arrays = request(valid=valid)
    with naiad.Client(url, retries=0) as client:
        while not stop.is_set():
            with contextlib.suppress(naiad.InvalidInput):
                client.infer("layers", arrays)


async def compare(url: str, triton: int, rounds: int, moment: Moment) -> list[dict[str, Speed]]:
    with naiad.Client(url) as client:
        spec = ModelSpec.from_config(client.config("layers"))
    target = Target(Address.parse(url), spec, [request(valid=True)])
    found: list[dict[str, Speed]] = []
    try:
        for number in range(rounds):
            order = [ALONE, HONEST, INVALID][:: -1 if number % 2 else 1]
            found.append({})
            for who in order:
                beside = (
                    contextlib.nullcontext() if who == ALONE else ninth(url, valid=who == HONEST)
                )
                with beside:
                    await asyncio.sleep(2)  # until it has started
                    found[-1][who] = await speed(target, 8, moment)
    finally:
        await target.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    args = parser.parse_args()
    free = {"http_port": 0, "grpc_port": 0, "metrics_port": 0}
    with naiad.serve(f"{Path(__file__)}:Layers", instances=1, **free) as server:
        moment = Moment(args.seconds / 5, args.seconds)
        assert server.pid is not None
        rounds = run(compare(server.grpc_url, server.pid, args.rounds, moment))
    made = Table("8 honest clients", "requests/s", "p50 ms", "p99 ms", "CPU us")
    for who in (ALONE, HONEST, INVALID):
        speeds = [one[who] for one in rounds]
        made.add_row(
            who,
            f"{median(s.throughput for s in speeds):,.0f}",
            f"{1e3 * median(s.p50 for s in speeds):.2f}",
            f"{1e3 * median(s.p99 for s in speeds):.2f}",
            f"{1e6 * median(s.server_cpu for s in speeds):,.0f}",
        )
    Console().print(made)


if __name__ == "__main__":
    main()
