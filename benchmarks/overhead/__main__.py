"""Measure the overhead of Naiad over a bare model of Triton's Python backend.

    python -m benchmarks.overhead [--runs 5] [--seconds 3] [--bytes 1024,5000000]

One Triton serves the same echo twice: bare (``execute`` answers at once) and with Naiad. One client
and several ask them in turn over gRPC; the medians of the ratios are printed.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from textwrap import dedent

import numpy as np
from benchmarks.rounds import Speeds, in_turn, parser
from rich.console import Console
from rich.table import Table

import naiad
from naiad.bench.measure import run
from naiad.bench.target import Target
from naiad.client.address import Address
from naiad.client.client import Client
from naiad.client.spec import ModelSpec
from naiad.triton.paths import plain_temporary_directory
from naiad.triton.repository import export
from naiad.triton.server import Server

ECHO = Path(__file__).parent / "echo.py"
BARE, NAIAD = "bare", "echo"
MODEL = '''
    """Answers with what it is asked, as plainly as Triton's Python backend allows."""

    import triton_python_backend_utils as pb_utils


    class TritonPythonModel:
        def execute(self, requests):
            return [
                pb_utils.InferenceResponse(
                    [
                        pb_utils.Tensor(
                            "y", pb_utils.get_input_tensor_by_name(request, "x").as_numpy()
                        )
                    ]
                )
                for request in requests
            ]
'''


def main(arguments: list[str] | None = None) -> None:
    options = parser("overhead", __doc__, clients="1,8")
    options.add_argument("--bytes", default="1024", help="of a request; 1024 by default")
    options.add_argument("--instances", type=int, help="of each pipeline; by default one per core")
    args = options.parse_args(arguments)
    console = Console()
    with serving(args.instances) as server:
        for size in map(int, args.bytes.split(",")):
            for clients in map(int, args.clients.split(",")):
                rounds = run(compare(server, size // 4, clients, args))
                console.print(table(rounds, f"{size:,} bytes, {clients} at once"))


@contextmanager
def serving(instances: int | None = None) -> Iterator[Server]:
    """Start a server of both."""
    repository = plain_temporary_directory("naiad-overhead-")
    export(f"{ECHO}:Echo", repository, instances=instances)
    shutil.copytree(repository / NAIAD, repository / BARE)
    (repository / BARE / "1" / "model.py").write_text(dedent(MODEL))
    config = repository / BARE / "config.pbtxt"
    config.write_text(config.read_text().replace(f'name: "{NAIAD}"', f'name: "{BARE}"'))
    free = {"http_port": 0, "grpc_port": 0, "metrics_port": 0}
    with naiad.Server(repository, temporary=[repository], **free) as server:
        yield server


async def compare(
    server: Server, values: int, clients: int, args: argparse.Namespace
) -> list[Speeds]:
    """Return the speeds of each round, once both give the same answers."""
    address = Address.parse(server.grpc_url)
    arrays = {"x": np.arange(values, dtype=np.float32)}
    targets: dict[str, Target] = {}
    with Client(server.grpc_url) as client:
        for model in (BARE, NAIAD):
            assert np.array_equal(client.infer(model, arrays)["y"], arrays["x"])
            spec = ModelSpec.from_config(client.config(model))
            targets[model] = Target(address, spec, [arrays])
    return await in_turn(server, targets, clients, args)


def table(rounds: list[Speeds], title: str) -> Table:
    """Print medians over the rounds, and of the ratios within each."""
    names = ("model", "requests/s", "of bare", "CPU us", "of bare", "p50 ms", "p99 ms", "p99/p50")
    found = Table(*names, title=title)
    for model in (BARE, NAIAD):
        speeds = [one[model] for one in rounds]
        found.add_row(
            model,
            f"{median(s.throughput for s in speeds):,.0f}",
            f"{median(one[model].throughput / one[BARE].throughput for one in rounds):.2f}",
            f"{1e6 * median(s.server_cpu for s in speeds):,.0f}",
            f"{median(one[model].server_cpu / one[BARE].server_cpu for one in rounds):.2f}",
            f"{1e3 * median(s.p50 for s in speeds):.2f}",
            f"{1e3 * median(s.p99 for s in speeds):.2f}",
            f"{median(s.p99 / s.p50 for s in speeds):.1f}",
        )
    return found


if __name__ == "__main__":
    main()
