"""Classify molecules: a PyTorch Geometric network with an answer for each graph.

    python examples/graph_classification.py

Needs the extra `pyg`. The parameters are random: only the shapes mean something.
"""

import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import GINConv, global_add_pool

import naiad


class MolNet(nn.Module):
    """A graph isomorphism network of two layers."""

    def __init__(self, hidden: int = 64) -> None:
        super().__init__()
        self.first = GINConv(nn.Sequential(nn.Linear(9, hidden), nn.ReLU()))
        self.second = GINConv(nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU()))
        self.head = nn.Linear(hidden, 2)

    def forward(self, data: Data) -> torch.Tensor:
        """Scores of each graph."""
        x = self.first(data.x, data.edge_index)
        x = self.second(x, data.edge_index)
        return self.head(global_add_pool(x, data.batch, size=data.num_graphs))


def molecule(atoms: int) -> Data:
    """A chain of atoms with random features."""
    chain = torch.stack([torch.arange(atoms - 1), torch.arange(1, atoms)])
    return Data(x=torch.randn(atoms, 9), edge_index=torch.cat([chain, chain.flip(0)], 1))


Molecules = naiad.pyg(MolNet, example=molecule(20))


def main() -> None:
    """Ask about many molecules at once."""
    with naiad.serve(Molecules) as server, server.client() as client:
        many = [molecule(10 + size) for size in range(50)]
        for scores in client.infer_many("mol_net", many, concurrency=16):
            print(scores["output"].argmax(-1).item(), end=" ")


if __name__ == "__main__":
    main()
