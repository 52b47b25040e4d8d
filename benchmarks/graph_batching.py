"""Measure Naiad's batching of an exported graph model: the same file, one by one and merged.

``python benchmarks/graph_batching.py`` serves one file with a GAT under two configs: as
NVIDIA's backend would (each request by itself, an instance per core), and with ``naiad_dims``. In
each round, 32 clients load both in turn; the result is the median of the rounds' ratios. With
``--features 1433``, those of Cora, a small graph is 200 KB, and most of its cost is the transfer.

On the same cores, the work of the load generator counts as the server's. ``--server-cores N`` gives
the server the first N cores and the generator the others, like two machines. The generator is
Naiad's own, in Python, which takes about as long for a small graph as the server does.
``--perf-analyzer PROGRAM`` uses NVIDIA's, in C++: it is in
the PyPI wheel ``tritonclient`` 2.41.1 (``pip download --no-deps tritonclient==2.41.1``, unzip), and
needs ``libcudart.so.12`` (in the wheel ``nvidia-cuda-runtime-cu12``) on ``LD_LIBRARY_PATH`` and
``libb64`` (Debian: libb64-0d).
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from naiad.applications.gat.model import GatConv
from naiad.bench.load import Load, Log, drive
from naiad.bench.measure import run
from naiad.bench.perf_analyzer import write_requests
from naiad.bench.target import Target
from naiad.client.address import Address
from naiad.client.spec import ModelSpec
from naiad.core.pipeline import Pipeline
from naiad.core.schema import Arrays, Schema, Tensor
from naiad.triton.server import Server
from naiad.triton.torch_export import dims_text, freeze

TENSORS = """
input [ { name: "x__0" data_type: TYPE_FP32 dims: [-1, FEATURES] },
        { name: "edgeindex__1" data_type: TYPE_INT64 dims: [2, -1] } ]
output { name: "logits__0" data_type: TYPE_FP32 dims: [-1, 7] }
"""
FILES = {
    "torchscript": ("model.pt", 'platform: "pytorch_libtorch"'),
    "pt2": ("model.pt2", 'backend: "pytorch" default_model_filename: "model.pt2"'),
}
SIZES = {"10-60 nodes": (10, 60), "300-1500 nodes": (300, 1500)}


def parameter(key: str, value: str) -> str:
    return f'parameters {{ key: "{key}" value {{ string_value: "{value}" }} }}\n'


class Deep(torch.nn.Module):
    """A GAT with more layers than the two that Cora needs."""

    def __init__(self, features: int, layers: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        widths = [features, *[64] * (layers - 1)]
        self.inner = torch.nn.ModuleList(GatConv(w, 8, 8, concat=True) for w in widths[:-1])
        self.last = GatConv(widths[-1], 7, 1, concat=False)
        for weights in self.parameters():
            torch.nn.init.uniform_(weights, -0.3, 0.3)

    def forward(self, x: torch.Tensor, edge_index: torch.Tensor) -> torch.Tensor:
        for layer in self.inner:
            x = torch.nn.functional.elu(layer(x, edge_index))
        return self.last(x, edge_index)


def pipeline(features: int) -> type[Pipeline]:
    """Return the signature of the network."""

    class Graphs(Pipeline):
        inputs: ClassVar[Schema] = {
            "x__0": Tensor("float32", ("nodes", features)),
            "edgeindex__1": Tensor("int64", (2, "edges"), index_into="nodes"),
        }
        outputs: ClassVar[Schema] = {"logits__0": Tensor("float32", ("nodes", 7))}

    return Graphs


def write_repository(directory: Path, args: argparse.Namespace, instances: int) -> list[str]:
    """Write the model ``alone``, and one more for each of ``merged``, which are parameters."""
    kind = pipeline(args.features)
    name, backend = FILES[args.format]
    file = directory.with_name(name)
    freeze(Deep(args.features, args.layers), kind, file, args.format)
    common = f"{backend} max_batch_size: 0 {TENSORS.replace('FEATURES', str(args.features))}"
    configs = {"alone": f"{common} instance_group {{ count: {instances} kind: KIND_CPU }}\n"}
    for number, options in enumerate(args.merged or [""]):
        more = "".join(parameter(*pair.split("=", 1)) for pair in filter(None, options.split(";")))
        merged = f"merged_{number}" if number else "merged"
        configs[merged] = common + parameter("naiad_dims", dims_text(kind)) + more
    for model, text in configs.items():
        (directory / model / "1").mkdir(parents=True)
        (directory / model / "config.pbtxt").write_text(text)
        shutil.copy(file, directory / model / "1" / name)
    return list(configs)


def graphs(low: int, high: int, count: int, features: int) -> list[Arrays]:
    """Make random graphs with four edges per node, like Cora."""
    rng = np.random.default_rng(0)
    made: list[Arrays] = []
    for _ in range(count):
        nodes = int(rng.integers(low, high + 1))
        x = (rng.random((nodes, features), np.float32) < 0.05).astype(np.float32)
        made.append({"x__0": x, "edgeindex__1": rng.integers(0, nodes, (2, 4 * nodes))})
    return made


async def throughput(target: Target, clients: int, seconds: float) -> float:
    log, stop = Log(), asyncio.Event()
    load = Load("concurrency", clients)
    driver = asyncio.create_task(drive(load, target.send, log, stop, 0))
    await asyncio.sleep(seconds)
    began, ended = 0.2 * seconds, log.now()
    stop.set()
    await driver
    answered = [sample for sample in log.done_in(began, ended) if not sample.error]
    if len(answered) < len(log.done_in(began, ended)):
        raise SystemExit(f"errors: { ({s.error for s in log.samples} - {''}) }")
    return len(answered) / (ended - began)


def by_perf_analyzer(
    program: Path, url: str, model: str, data: Path, clients: int, seconds: float
) -> float:
    """Return answers per second, counted by NVIDIA's load generator."""
    table = data.with_suffix(".csv")
    command = [
        *(str(program), "-m", model, "-u", url, "-i", "grpc", "--async", "--input-data", str(data)),
        *("--concurrency-range", str(clients), "-p", str(int(1000 * seconds)), "-f", str(table)),
        # Three windows, whether they agree or not, since several rounds are compared.
        *("--max-trials", "3", "-s", "999"),
        # A thread per core: the usual 16 would take turns on them and delay the server.
        *("--max-threads", str(len(os.sched_getaffinity(0)))),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not table.exists():
        raise SystemExit(f"perf_analyzer: {done.stdout}{done.stderr}")
    with table.open() as file:
        (row,) = csv.DictReader(file)
    table.unlink()
    return float(row["Inferences/Second"])


async def measures(
    server: Server,
    models: list[str],
    requests: list[Arrays],
    args: argparse.Namespace,
    scratch: Path,
) -> tuple[Callable[[str], Awaitable[float]], list[Target]]:
    """Return a function that measures a model's answers per second, and one that closes it."""
    if args.perf_analyzer:
        data = scratch / "requests.json"
        write_requests(data, requests)
        common = (data, args.clients, args.seconds)

        async def outside(model: str) -> float:
            return await asyncio.to_thread(
                by_perf_analyzer, args.perf_analyzer, server.grpc_url, model, *common
            )

        return outside, []
    targets: dict[str, Target] = {}
    with server.client() as client:
        for name in models:
            spec = ModelSpec.from_config(client.config(name))
            targets[name] = Target(Address.parse(server.grpc_url), spec, requests)

    async def inside(model: str) -> float:
        return await throughput(targets[model], args.clients, args.seconds)

    return inside, [*targets.values()]


async def compare(
    server: Server, models: list[str], args: argparse.Namespace, scratch: Path
) -> None:
    for title, (low, high) in SIZES.items():
        requests = graphs(low, high, 64 if high < 100 else 16, args.features)
        measure, targets = await measures(server, models, requests, args, scratch)
        found: dict[str, list[float]] = {name: [] for name in models}
        for model in models:
            await measure(model)  # warm-up
        for number in range(args.rounds):
            for name in models if number % 2 == 0 else reversed(models):
                found[name].append(await measure(name))
        print(
            f"{title}, {args.format}, {args.layers} layers, {args.features} features, "
            f"{args.clients} clients, {args.server_cores or 'all'} cores for the server, "
            f"{args.rounds} rounds of {args.seconds:g} s"
        )
        for name in models:
            ratios = [b / a for a, b in zip(found["alone"], found[name], strict=True)]
            print(
                f"  {name:10} {statistics.median(found[name]):8.1f}/s  "
                f"ratio to alone {statistics.median(ratios):5.2f} "
                f"({min(ratios):.2f} to {max(ratios):.2f})",
                flush=True,
            )
        for target in targets:
            await target.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--features", type=int, default=16)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--format", choices=FILES, default="torchscript", help="of the file")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument(
        "--merged",
        action="append",
        default=[],
        help="parameters of a merged model, as naiad_budget=nodes=512;naiad_instances=1",
    )
    parser.add_argument("--perf-analyzer", type=Path, help="use this program as the load generator")
    parser.add_argument(
        "--server-cores", type=int, metavar="N", help="the server has N cores, the load the others"
    )
    args = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    if args.server_cores is not None and not 0 < args.server_cores < len(cores):
        parser.error(f"--server-cores must leave one of the {len(cores)} cores to the load")
    server_cores = cores[: args.server_cores]
    with tempfile.TemporaryDirectory(prefix="naiad-graph-batching-") as directory:
        repository = Path(directory, "models")
        models = write_repository(repository, args, instances=len(server_cores))
        os.sched_setaffinity(0, server_cores)  # inherited by child processes
        began = time.monotonic()
        with Server(repository, http_port=0, grpc_port=0, metrics_port=0) as server:
            print(f"ready in {time.monotonic() - began:.0f} s", flush=True)
            os.sched_setaffinity(0, cores[args.server_cores or 0 :])
            run(compare(server, models, args, Path(directory)))


if __name__ == "__main__":
    main()
