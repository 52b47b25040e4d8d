"""Serve your own graph model and call it, in one process.

    python examples/own_model.py

Needs torch. `naiad serve examples/own_model.py:Mean` serves it to others.
"""

import numpy as np
import torch

import naiad
from naiad import Budget, Pipeline, Tensor


class Mean(Pipeline):
    """Mean of the features of each node's neighbours."""

    inputs = {
        "x": Tensor("float32", ("nodes", 8)),
        "edge_index": Tensor("int64", (2, "edges"), index_into="nodes"),
    }
    outputs = {"mean": Tensor("float32", ("nodes", 8))}
    budget = Budget(nodes=50_000, edges=500_000)

    def forward(self, batch):
        """Sum the features of each node's neighbours and divide by their number."""
        x, (source, target) = batch["x"], batch["edge_index"]
        total = torch.zeros_like(x).index_add_(0, target, x[source])
        return {"mean": total / torch.bincount(target, minlength=len(x)).clamp(min=1)[:, None]}


def main() -> None:
    """Send graphs of different sizes; the server merges those that arrive together."""
    random = np.random.default_rng(0)
    graphs = [
        {
            "x": random.random((nodes, 8), np.float32),
            "edge_index": random.integers(nodes, size=(2, 3 * nodes)),
        }
        for nodes in (5, 50, 500)
    ]
    with naiad.serve(Mean) as server, server.client() as client:
        for graph in graphs:
            answer = client.infer("mean", graph)
            print(graph["x"].shape, "->", answer["mean"].shape)


if __name__ == "__main__":
    main()
