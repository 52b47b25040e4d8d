"""Classify points: their graph is made on the server, of nearest neighbours.

    python examples/knn_graph.py

Needs the extra `pyg`, and SciPy. The parameters are random: only the shapes mean something.
"""

import numpy as np
import torch
from scipy.spatial import KDTree
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import EdgeConv, global_max_pool

import naiad
from naiad import Tensor

NEIGHBOURS = 6


class PointNet(nn.Module):
    """Edge convolutions over the neighbours of each point."""

    def __init__(self, hidden: int = 32) -> None:
        super().__init__()
        self.first = EdgeConv(nn.Sequential(nn.Linear(6, hidden), nn.ReLU()))
        self.second = EdgeConv(nn.Sequential(nn.Linear(2 * hidden, hidden), nn.ReLU()))
        self.head = nn.Linear(hidden, 4)

    def forward(self, pos, edge_index, batch, batch_size):
        """Scores of each cloud."""
        x = self.second(self.first(pos, edge_index), edge_index)
        return self.head(global_max_pool(x, batch, size=batch_size))


def neighbours(points):
    """Edges to each point from those that are nearest to it, int64 ``[2, edges]``."""
    _, found = KDTree(points).query(points, NEIGHBOURS + 1)  # len(points) where there are fewer
    target = np.repeat(np.arange(len(points)), found.shape[1])
    edges = np.stack([found.ravel(), target])
    return edges[:, (edges[0] != edges[1]) & (edges[0] < len(points))]


CLOUD = torch.randn(50, 3)
Base = naiad.pyg(
    PointNet,
    example=Data(pos=CLOUD, edge_index=torch.from_numpy(neighbours(CLOUD.numpy()))),
)


class Clouds(Base):
    """Clients send points; ``prepare`` makes the edges, beside the network's work."""

    inputs = {"pos": Tensor("float32", ("nodes", 3))}
    sample = Base.inputs

    def prepare(self, request):
        """Add the edges."""
        return {"pos": request["pos"], "edge_index": neighbours(request["pos"])}


def main() -> None:
    """Ask about one cloud."""
    with naiad.serve(Clouds) as server, server.client() as client:
        print(client.infer("clouds", pos=np.random.rand(80, 3).astype(np.float32))["output"])


if __name__ == "__main__":
    main()
