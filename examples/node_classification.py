"""Classify the nodes of a graph: a PyTorch Geometric network, with one line for Naiad.

    python examples/node_classification.py

Needs the extra `pyg`. The parameters are random: only the shapes mean something.
"""

import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import SAGEConv

import naiad


class Papers(nn.Module):
    """Two layers of GraphSAGE."""

    def __init__(self, hidden: int = 32, classes: int = 3) -> None:
        super().__init__()
        self.first, self.second = SAGEConv(16, hidden), SAGEConv(hidden, classes)

    def forward(self, x: torch.Tensor, edge_index: torch.Tensor) -> torch.Tensor:
        """Scores of each node."""
        return self.second(self.first(x, edge_index).relu(), edge_index)


def citations(papers: int) -> Data:
    """A chain of papers, each of which cites the one before."""
    chain = torch.stack([torch.arange(1, papers), torch.arange(papers - 1)])
    return Data(x=torch.randn(papers, 16), edge_index=chain)


Served = naiad.pyg(Papers, example=citations(8))


def main() -> None:
    """Ask for one small graph."""
    with naiad.serve(Served) as server, server.client() as client:
        print(client.infer("papers", citations(4))["output"].shape)


if __name__ == "__main__":
    main()
