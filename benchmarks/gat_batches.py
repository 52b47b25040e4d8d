"""Find the graphs that are worth merging, for the graph attention network on one core.

    python benchmarks/gat_batches.py [--rounds 9]

Prints, for graphs of several sizes and batches, the ratio of graphs per second of CPU time merged
to that of graphs run one by one. Sizes take turns within each round, and the medians of the rounds
are compared.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import defaultdict

import numpy as np
import torch

from naiad.applications.gat.pipeline import Gat
from naiad.applications.gat.schema import INPUTS
from naiad.core.merging import collate
from naiad.core.pipeline import random_arrays
from naiad.core.schema import Arrays, measure

# Nodes and edges of a graph, and the numbers of merged graphs.
CASES = (
    (10, 30, (1, 4, 16, 64, 200)),
    (35, 120, (1, 4, 16, 64, 128)),
    (100, 400, (1, 4, 16, 64)),
    (300, 1_200, (1, 4, 16)),
    (1_000, 4_000, (1, 2, 4, 8)),
    (2_000, 12_000, (1, 2, 4)),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    pipeline = Gat()
    pipeline.setup("cpu")
    for nodes, edges, counts in CASES:
        graphs = [
            random_arrays(INPUTS, {"nodes": nodes, "edges": edges}, seed)
            for seed in range(max(counts))
        ]
        seconds: dict[int, list[float]] = defaultdict(list)
        for _ in range(rounds):
            for count in counts:
                seconds[count].append(
                    cost(pipeline, graphs[:count], max(1, 600 // (nodes * count)))
                )
        alone = statistics.median(seconds[1])
        gains = (f"{n}: {alone / statistics.median(seconds[n]):.2f}" for n in counts)
        print(f"{nodes:5} nodes {edges:6} edges  {'  '.join(gains)}", flush=True)


def cost(pipeline: Gat, graphs: list[dict[str, np.ndarray]], repeats: int) -> float:
    """Return the CPU seconds per graph, from separate requests to the merged result."""
    began = time.process_time()
    for _ in range(repeats):
        requests: list[Arrays] = list(graphs)
        batch = collate(INPUTS, requests, [measure(INPUTS, graph) for graph in requests])
        with torch.inference_mode():
            pipeline.forward(batch.torch("cpu"))
    return (time.process_time() - began) / repeats / len(graphs)


if __name__ == "__main__":
    main()
