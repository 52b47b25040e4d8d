"""The molecule classifier of ``benchmarks/molecules``: graphs of 10 to 60 nodes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from benchmarks.peers.codec import Arrays
from benchmarks.peers.works import Predict, Work


def make(number: int) -> list[Arrays]:
    from benchmarks.molecules.pipelines import molecule

    from naiad.client.graphs import arrays_of

    sizes = np.random.default_rng(0).integers(10, 61, number).tolist()
    return [dict(arrays_of(molecule(n, seed))) for seed, n in enumerate(sizes)]


def load() -> Predict:
    import torch
    from benchmarks.molecules.network import MolNet
    from benchmarks.peers.works.graphs import merged

    torch.set_num_threads(1)
    net = MolNet().eval()

    @torch.inference_mode()
    def predict(requests: Sequence[Arrays]) -> list[Arrays]:
        x, edges, nodes = merged(requests, "x", "edge_index")
        graphs = torch.arange(len(nodes)).repeat_interleave(torch.tensor(nodes))
        scores = net(x, edges, graphs, len(nodes)).numpy()
        return [{"output": scores[n : n + 1]} for n in range(len(nodes))]

    return predict


WORK = Work(
    title="molecules, graphs of 10 to 60 nodes (GIN)",
    pipeline="benchmarks.molecules.pipelines:Derived",
    tolerance=1e-4,
    batch=64,
    most=1_920,
    size=lambda request: len(request["x"]),
    make=make,
    load=load,
)
