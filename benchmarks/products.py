"""Measure GraphSAGE and its recommendations, part by part, on the graph that comes with Naiad.

    python -m benchmarks.products [--rounds 9]

Prints medians of CPU time in one thread, in milliseconds: the mean over neighbours in two ways, a
request by the number of its products and of requests merged with it, and the overlap of
neighbourhoods on the graph's arrays and in the store.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import unittest.mock
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from benchmarks.parts import Work, medians
from torch.nn import functional as F

from naiad import Request
from naiad.applications.products.pipeline import Products
from naiad.applications.products.product_store import load_graph
from naiad.applications.products.recommend import overlaps
from naiad.applications.products.results import Labels
from naiad.applications.store import Store, open_store
from naiad.core.schema import validate
from naiad.runtime.runner import Runner

# Input rows, output rows, neighbours of each, numbers per row.
MEANS = ((900, 166, 5, 100), (60_000, 11_000, 5, 100), (11_000, 1_000, 10, 256))
# Products per request, and merged requests.
BATCHES = ((1, 1), (1, 16), (1, 64), (16, 1), (16, 16), (64, 1), (64, 4), (64, 16), (256, 1))


def means() -> dict[str, tuple[Work, int]]:
    found: dict[str, tuple[Work, int]] = {}
    for rows, nodes, fanout, width in MEANS:
        x = torch.randn(rows, width)
        source = torch.randint(0, rows, (nodes * fanout,))
        target = torch.arange(nodes).repeat_interleave(fanout)
        starts = torch.arange(0, nodes * fanout, fanout)
        shape = f"{nodes:,} x {width} of {fanout} neighbours"

        def gathered(x=x, source=source, target=target, shape=(nodes, width), n=fanout) -> object:
            return torch.zeros(shape).index_add_(0, target, x[source]) / n

        def looked_up(x=x, source=source, starts=starts) -> object:
            return F.embedding_bag(source, x, starts, mode="mean")

        found[f"mean, gathered and added: {shape}"] = gathered, 1
        found[f"mean, embedding_bag: {shape}"] = looked_up, 1
    return found


def batches(runner: Runner, products: int) -> dict[str, tuple[Work, int]]:
    found: dict[str, tuple[Work, int]] = {}
    rng = np.random.default_rng(0)
    for count, merged in BATCHES:
        requests = [
            Request(arrays, validate(Products.inputs, arrays))
            for arrays in (
                {"product": rng.integers(0, products, count), "seed": np.zeros(1, np.int64)}
                for _ in range(merged)
            )
        ]
        name = f"a product, of {count} in each of {merged} merged requests"
        found[name] = (lambda r=requests: runner.run(r)), count * merged
    return found


def neighbourhoods(store: Store, place: str, pipeline: Products) -> dict[str, tuple[Work, int]]:
    def on_arrays() -> object:
        return overlaps(pipeline.graph, np.array([17]))

    def in_memory() -> object:
        return store.common("Product", [17], ["bought_with"], limit=20_000)

    def in_database() -> object:
        with (
            unittest.mock.patch("naiad.applications.store.edge_memory.MOST_EDGES", 0),
            open_store(place) as s,
        ):
            return s.common("Product", [17], ["bought_with"], limit=20_000)

    def opened() -> object:
        with open_store(place) as s:
            return s

    return {
        "overlaps with a product's neighbourhood, on the arrays": (on_arrays, 1),
        "neighbours in common, in the store's memory": (in_memory, 1),
        "the same of the database, and to open it": (in_database, 1),
        "to open the store": (opened, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    pipeline = Products()
    runner = Runner(pipeline)
    graph = pipeline.graph
    with tempfile.TemporaryDirectory() as folder:
        where = str(Path(folder) / "store")
        load_graph(where, graph, Labels((), len(graph), graph.edges), width=256)
        with open_store(where, threads=1) as store, torch.inference_mode():
            works = means() | batches(runner, len(graph)) | neighbourhoods(store, where, pipeline)
            for name, median in medians(works, rounds).items():
                print(f"{name:62} {median:8.3f} ms")


if __name__ == "__main__":
    main()
