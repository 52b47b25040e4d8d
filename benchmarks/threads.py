"""Compare a heavy network with one thread per batch to one that gets the cores that idle.

    python -m benchmarks.threads [--runs 5] [--seconds 10] [--clients 1,2] [--docs]

One server serves the COVID CT pipeline twice, with a TorchScript DenseNet121 (random weights) that
takes 192x192x64 voxels, and differing only in ``threads``: 1, and the default. Clients send small
volumes, so that decoding hardly counts. Answers must agree within 1e-4. Prints medians of the
ratios within each round, with their ranges.
"""

from __future__ import annotations

from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from benchmarks.nugraph3.page import write_section
from benchmarks.rounds import Speeds, in_turn, parser

import naiad
from naiad.applications.medical.covid_ct.pipeline import CovidCt
from naiad.applications.medical.covid_ct.schema import SHAPE
from naiad.bench.measure import run
from naiad.bench.target import Target
from naiad.client.address import Address
from naiad.client.spec import ModelSpec
from naiad.triton.paths import plain_temporary_directory
from naiad.triton.repository import export

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
COMMAND = "benchmarks.threads"
TOLERANCE = 1e-4  # of a probability


class One(CovidCt):
    """The pipeline with one thread for each batch."""

    threads = 1


class Idle(CovidCt):
    """The pipeline with cores that would idle, too."""


def main() -> None:
    options = parser("threads", __doc__, clients="1,2")
    options.add_argument(
        "--docs", action="store_true", help="write the table of docs/performance.md"
    )
    args = options.parse_args()
    repository = plain_temporary_directory("naiad-threads-")
    with TemporaryDirectory() as scratch:
        weights = Path(scratch) / "densenet121.ts"
        save(weights)
        for kind in (One, Idle):
            export(f"{__file__}:{kind.__name__}", repository, weights=weights)
    free: dict[str, Any] = {"http_port": 0, "grpc_port": 0, "metrics_port": 0}
    with naiad.Server(repository, temporary=[repository], **free) as server:
        differ = difference(server)
        rows = [
            row(int(clients), run(measure(server, int(clients), args)))
            for clients in args.clients.split(",")
        ]
    text = "\n".join(
        [
            f"Medians of {args.runs} rounds, with the range of the rounds; largest difference of "
            f"answers {differ:.1g}.",
            "",
            "| clients | one thread: p50, s | idle cores, too: p50, s | ratio | of requests/s |",
            "|---|---|---|---|---|",
            *rows,
        ]
    )
    print(text)
    if args.docs:
        write_section(PAGE, text, COMMAND)


def save(path: Path) -> None:
    """Write a DenseNet121 for volumes as TorchScript."""
    from monai.networks.nets import DenseNet121

    torch.manual_seed(0)
    network = DenseNet121(spatial_dims=3, in_channels=1, out_channels=1).eval()
    with torch.inference_mode():
        torch.jit.trace(network, torch.rand(1, 1, *SHAPE)).save(str(path))


def difference(server: naiad.Server) -> float:
    """Return by how much answers differ; the second is one with idle cores.

    Raises:
        RuntimeError: more than the tolerance.
    """
    example = CovidCt().example()
    with naiad.Client(server.grpc_url, timeout=600.0) as client:
        answers = [client.infer(kind.name, example) for kind in (One, Idle, Idle)]
    found = [answer["PROBABILITY"] for answer in answers]
    largest = max(float(np.abs(other - found[0]).max()) for other in found)
    if largest > TOLERANCE:
        raise RuntimeError(f"answers differ by {largest}")
    return largest


async def measure(server: naiad.Server, clients: int, args: Any) -> list[Speeds]:
    """Return the speeds of each round."""
    address = Address.parse(server.grpc_url)
    with naiad.Client(server.grpc_url) as client:
        specs = [ModelSpec.from_config(client.config(kind.name)) for kind in (One, Idle)]
    requests = [CovidCt().example()]
    targets = {spec.name: Target(address, spec, requests, timeout=600.0) for spec in specs}
    return await in_turn(server, targets, clients, args)


def row(clients: int, rounds: list[Speeds]) -> str:
    one, idle = (median(found[kind.name].p50 for found in rounds) for kind in (One, Idle))
    faster = ratio([found[Idle.name].p50 / found[One.name].p50 for found in rounds])
    more = ratio([found[Idle.name].throughput / found[One.name].throughput for found in rounds])
    return f"| {clients} | {one:.2f} | {idle:.2f} | {faster} | {more} |"


def ratio(found: list[float]) -> str:
    return f"{median(found):.2f} ({min(found):.2f}-{max(found):.2f})"


if __name__ == "__main__":
    main()
