"""Classify point clouds: each layer makes its own graph, of neighbours among its features.

    python examples/point_clouds.py

Needs the extra `pyg`, and no torch-cluster. The parameters are random: only the shapes mean
something.
"""

from itertools import pairwise

import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import EdgeConv, global_max_pool

import naiad
from naiad import Budget


def nearest(x, ptr, k):
    """Edges to each row from the nearest rows of its own graph, itself included.

    Args:
        x: rows of all graphs, ``[rows, features]``.
        ptr: first row of each graph, and the end, ``[graphs + 1]``.
        k: neighbours of each row; fewer in a smaller graph.

    Returns:
        int64 ``[2, edges]``.
    """
    edges = []
    for first, end in pairwise(ptr.tolist()):
        rows = torch.arange(first, end, device=x.device)
        distances = torch.cdist(x[rows], x[rows], compute_mode="donot_use_mm_for_euclid_dist")
        found = distances.topk(min(k, len(rows)), largest=False).indices + first
        edges.append(torch.stack([found.flatten(), rows.repeat_interleave(found.shape[1])]))
    return torch.cat(edges, 1)


class CloudNet(nn.Module):
    """Two dynamic edge convolutions (Wang et al., arXiv:1801.07829)."""

    def __init__(self, hidden: int = 32, classes: int = 4, k: int = 8) -> None:
        super().__init__()
        self.k = k
        self.first = EdgeConv(nn.Sequential(nn.Linear(6, hidden), nn.ReLU()))
        self.second = EdgeConv(nn.Sequential(nn.Linear(2 * hidden, hidden), nn.ReLU()))
        self.head = nn.Linear(hidden, classes)

    def forward(self, pos, batch, ptr, batch_size):
        """Scores of each cloud."""
        x = self.first(pos, nearest(pos, ptr, self.k))
        x = self.second(x, nearest(x, ptr, self.k))
        return self.head(global_max_pool(x, batch, size=batch_size))


def cloud(points: int) -> Data:
    """Random points on a sphere."""
    return Data(pos=nn.functional.normalize(torch.randn(points, 3)))


# Distances of all pairs of a cloud: 64 MB for its 4,096 points.
Served = naiad.pyg(CloudNet, example=cloud(100), limit=Budget(nodes=4096))


def main() -> None:
    """Ask about clouds of several sizes at once."""
    with naiad.serve(Served) as server, server.client() as client:
        clouds = [cloud(50 + 10 * n) for n in range(20)]
        for scores in client.infer_many("cloud_net", clouds, concurrency=8):
            print(scores["output"].argmax(-1).item(), end=" ")


if __name__ == "__main__":
    main()
