"""Measure `naiad.pyg` with molecules of 10 to 60 atoms, beside the same network by hand.

    python -m benchmarks.molecules [--runs 5] [--seconds 3] [--clients 1,16]

One Triton serves a graph isomorphism network three times: made by `naiad.pyg`, in a pipeline
written by hand, and in Triton's Python backend, with an instance per core each. They must give the
same answers. Clients ask them in turn over gRPC, and the medians of the ratios are printed. The
Python backend needs a Python with NumPy 1: NAIAD_PYTHON_ENVIRONMENT.
"""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import numpy as np
from benchmarks.molecules.pipelines import ByHand, Derived, molecule
from benchmarks.rounds import Speeds, in_turn, parser
from rich.console import Console
from rich.table import Table

import naiad
from naiad.bench.measure import run
from naiad.bench.target import Target
from naiad.client.address import Address
from naiad.client.graphs import arrays_of
from naiad.client.spec import ModelSpec
from naiad.triton.config import model_config, write_config
from naiad.triton.paths import plain_temporary_directory
from naiad.triton.repository import export
from naiad.triton.server import Server

PLAIN = "python_backend"
MODELS = ("derived", "by_hand", PLAIN)


def main(arguments: list[str] | None = None) -> None:
    args = parser("molecules", __doc__, clients="1,16").parse_args(arguments)
    with serving() as server:
        for clients in map(int, args.clients.split(",")):
            rounds = run(compare(server, clients, args))
            Console().print(table(rounds, f"molecules of 10 to 60 atoms, {clients} at once"))


@contextmanager
def serving() -> Iterator[Server]:
    """Start a server of all three."""
    repository, cores = plain_temporary_directory("naiad-molecules-"), len(os.sched_getaffinity(0))
    for kind in (Derived, ByHand):
        export(kind, repository, instances=cores)
    here = Path(__file__).parent
    config = model_config(ByHand, {"source": str(here.parents[1])}, name=PLAIN)
    config.backend = "python"
    config.instance_group[0].count = cores
    (repository / PLAIN / "1").mkdir(parents=True)
    write_config(config, repository / PLAIN / "config.pbtxt")
    shutil.copyfile(here / "model.py", repository / PLAIN / "1" / "model.py")
    free = {"http_port": 0, "grpc_port": 0, "metrics_port": 0}
    with naiad.Server(repository, temporary=[repository], **free) as server:
        yield server


async def compare(server: Server, clients: int, args: argparse.Namespace) -> list[Speeds]:
    """Return the speeds of each round, once all give the same answers."""
    rng = np.random.default_rng(0)
    asked = [dict(arrays_of(molecule(n, n))) for n in rng.integers(10, 61, 64).tolist()]
    targets: dict[str, Target] = {}
    with server.client() as client:
        for model in MODELS:
            for arrays in asked[:8]:
                found, expected = (client.infer(m, arrays)["output"] for m in (model, PLAIN))
                np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
            spec = ModelSpec.from_config(client.config(model))
            targets[model] = Target(Address.parse(server.grpc_url), spec, asked)
    return await in_turn(server, targets, clients, args)


def table(rounds: list[Speeds], title: str) -> Table:
    """Return medians over the rounds, and medians and ranges of the ratios within each."""
    found = Table("model", "requests/s", "of by_hand", "of python_backend", "p50 ms", title=title)
    for model in MODELS:
        cells = [f"{median(one[model].throughput for one in rounds):,.0f}"]
        for other in ("by_hand", PLAIN):
            ratios = [one[model].throughput / one[other].throughput for one in rounds]
            cells.append(f"{median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})")
        found.add_row(model, *cells, f"{1e3 * median(one[model].p50 for one in rounds):.2f}")
    return found


if __name__ == "__main__":
    main()
