"""Serve a PyTorch Geometric network that runs on merged graphs.

    python examples/pyg_model.py

Needs the extra `gat-train`, for torch and PyTorch Geometric.
"""

import numpy as np
import torch
from torch_geometric.nn import SAGEConv

import naiad
from naiad import Budget, Pipeline, Tensor


class Net(torch.nn.Module):
    """Two layers of GraphSAGE."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = SAGEConv(16, 32), SAGEConv(32, 3)

    def forward(self, x: torch.Tensor, edge_index: torch.Tensor) -> torch.Tensor:
        """Return the scores of each node."""
        return self.second(self.first(x, edge_index).relu(), edge_index)


class Papers(Pipeline):
    """The class of each node of a citation graph."""

    inputs = {
        "x": Tensor("float32", ("nodes", 16)),
        "edge_index": Tensor("int64", (2, "edges"), index_into="nodes"),
    }
    outputs = {"scores": Tensor("float32", ("nodes", 3))}
    budget = Budget(nodes=2_048, edges=8_192)

    def setup(self, device):
        """Create the network; load your weights here, with `weights_only=True`."""
        self.net = Net().to(device).eval()

    def forward(self, batch):
        """Run the network on the merged graph."""
        return {"scores": self.net(batch["x"], batch["edge_index"])}


def main() -> None:
    """Print the shape of the scores of a small graph."""
    graph = {"x": np.ones((4, 16), np.float32), "edge_index": np.array([[0, 1, 2], [1, 2, 3]])}
    with naiad.serve(Papers) as server, server.client() as client:
        print(client.infer("papers", graph)["scores"].shape)


if __name__ == "__main__":
    main()
