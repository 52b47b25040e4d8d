"""The graph attention network on citation graphs of 300 to 1,500 nodes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from benchmarks.peers.codec import Arrays
from benchmarks.peers.works import Predict, Work


def make(number: int) -> list[Arrays]:
    from naiad.applications.gat.simulate import simulate

    sizes = np.random.default_rng(0).integers(300, 1_501, number).tolist()
    return [simulate(n, seed).arrays(row_normalised=True) for seed, n in enumerate(sizes)]


def load() -> Predict:
    import torch
    from benchmarks.peers.works.graphs import merged

    from naiad.applications.gat.pipeline import Gat
    from naiad.applications.gat.weights import load_weights

    torch.set_num_threads(1)
    folder = Gat().weights_path
    assert folder is not None
    net, _ = load_weights(folder)
    net.eval()

    @torch.inference_mode()
    def predict(requests: Sequence[Arrays]) -> list[Arrays]:
        x, edges, nodes = merged(requests, "x__0", "edgeindex__1")
        return [{"logits__0": part.numpy()} for part in net(x, edges).split(nodes)]

    return predict


WORK = Work(
    title="GAT, graphs of 300 to 1,500 nodes",
    pipeline="gat",
    tolerance=1e-4,
    batch=2,  # beyond 2,000 nodes a merged graph is slower: benchmarks/gat_batches.py
    most=2_048,
    size=lambda request: len(request["x__0"]),
    make=make,
    load=load,
)
