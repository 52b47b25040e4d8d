"""GraphSAGE on a graph of ogbn-products' size, through the server, on one machine.

    python benchmarks/products_scale.py FOLDER [--products 2449029] [--instances 1]

Makes a synthetic co-purchase graph in FOLDER if missing (1.1 GB of files, some minutes and 4 GB of
memory), serves it with the weights that come with Naiad, and prints: the time to open the graph,
the cost of sampling, the time to start the server, its worker's memory, the latency of one product,
and products per second by products per request and concurrency.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np
import psutil

import naiad
from naiad.applications.products.graph import FACTS_FILE, ProductGraph, open_graph, write_graph
from naiad.applications.products.pipeline import Products
from naiad.applications.products.sampler import Sampler
from naiad.applications.products.simulate import simulate
from naiad.applications.products.weights import load_weights
from naiad.triton.memory import proportional_size
from naiad.triton.server import Server

OGB = 2_449_029
MB = 1 << 20


@contextmanager
def timed(what: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    print(f"{what}: {time.perf_counter() - began:.1f} s", flush=True)


def make(folder: Path, products: int) -> None:
    """Make the graph, if missing."""
    if (folder / FACTS_FILE).exists():
        return
    with timed(f"made a graph of {products:,} products"):
        write_graph(folder, simulate(products, seed=1))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"  peak memory of that: {peak:,.0f} MB", flush=True)


def median_ms(work: Callable[[int], object], rounds: int) -> str:
    """Return the median CPU time, which other load on the machine hardly affects."""
    times: list[float] = []
    for number in range(rounds):
        began = time.process_time()
        work(number)
        times.append((time.process_time() - began) * 1e3)
    return f"{statistics.median(times[1:]):.2f} ms"


def sampling(graph: ProductGraph) -> None:
    known = Products().known
    rng = np.random.default_rng(0)
    for compiled in (True, False):
        sampler = Sampler(graph.indptr, graph.indices, known.fanouts, compiled=compiled)
        for count, rounds in ((1, 200), (64, 30), (1_024, 8)):
            seeds = [rng.choice(len(graph), count, replace=False) for _ in range(rounds)]
            cost = median_ms(lambda n, s=sampler, all_=seeds: s.sample(all_[n], n), rounds)
            name = "numba" if compiled else "numpy"
            print(f"sampling for {count:5,} products, {name}: {cost} of CPU time", flush=True)


def workers(server: Server) -> list[psutil.Process]:
    every = psutil.Process(server.pid).children(recursive=True)
    names = ("naiad.triton.worker",)
    return [one for one in every if any(name in " ".join(one.cmdline()) for name in names)]


def worker_seconds(server: Server) -> float:
    """Return the CPU time of the workers so far."""
    return sum(sum(one.cpu_times()[:2]) for one in workers(server))


def memory(server: Server) -> None:
    for process in workers(server):
        own = process.memory_full_info().uss / MB
        share = proportional_size(process.pid) / MB
        print(f"  a worker: {own:,.0f} MB of its own, {share:,.0f} MB with its share of files")


def load(server: Server, products: int, per_request: int, clients: int, requests: int) -> None:
    """Measure latency and throughput with concurrent clients."""
    rng = np.random.default_rng(per_request)
    seeds = rng.integers(0, products, (requests, per_request))
    outputs = ["embeddings", "probabilities"]

    def client(number: int) -> list[float]:
        times: list[float] = []
        with naiad.Client(server.grpc_url, timeout=300) as own:
            for some in seeds[number::clients]:
                began = time.perf_counter()
                own.infer("products", product=some, outputs=outputs)
                times.append((time.perf_counter() - began) * 1e3)
        return times

    began, busy = time.perf_counter(), worker_seconds(server)
    with ThreadPoolExecutor(clients) as pool:
        times = sorted(one for each in pool.map(client, range(clients)) for one in each)
    seconds, busy = time.perf_counter() - began, worker_seconds(server) - busy
    print(
        f"{per_request:5,} products a request, {clients:2} clients: "
        f"{requests * per_request / seconds:8,.0f} products/s, "
        f"p50 {times[len(times) // 2]:,.1f} ms, p99 {times[int(len(times) * 0.99)]:,.1f} ms, "
        f"worker CPU {busy / requests / per_request * 1e3:.2f} ms/product",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--products", type=int, default=OGB)
    parser.add_argument("--instances", type=int, default=1)
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    make(folder / "graph", arguments.products)
    with timed("opened and checked the graph"):
        graph = open_graph(folder / "graph")
    print(f"{len(graph):,} products, {graph.edges:,} edges, {graph.degrees().max():,} at most")
    sampling(graph)
    default = Products().weights_path
    assert default is not None
    net, known = load_weights(default)
    # By its full path, so that it is not copied with the weights.
    elsewhere = msgspec.structs.replace(known, graph=str(folder / "graph"))
    elsewhere.save_with(net, folder / "weights")
    began = time.perf_counter()
    with naiad.serve(
        "products",
        weights=folder / "weights",
        instances=arguments.instances,
        http_port=0,
        grpc_port=0,
        metrics_port=0,
    ) as server:
        print(f"the server was ready after {time.perf_counter() - began:.1f} s")
        load(server, len(graph), 1, 1, 50)  # warms up
        memory(server)
        for per_request, clients, requests in (
            (1, 1, 300),
            (1, 16, 600),
            (64, 1, 15),
            (64, 16, 32),
            (1_024, 1, 2),
        ):
            load(server, len(graph), per_request, clients, requests)
            memory(server)
    print(f"load average of this machine during the run: {psutil.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
