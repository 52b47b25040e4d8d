"""Predict a property of molecules from their bonds' types and their atoms' positions.

    python examples/edge_features.py

Needs the extra `pyg`. The parameters are random: only the shapes mean something.
"""

import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import CGConv, global_mean_pool
from torch_geometric.nn.models.schnet import GaussianSmearing

import naiad

KINDS = 4
"""Of bonds: single, double, triple, aromatic."""


class BondNet(nn.Module):
    """Crystal-graph convolutions (Xie and Grossman, arXiv:1710.10324) with bonds' lengths."""

    def __init__(self, hidden: int = 32) -> None:
        super().__init__()
        self.first = nn.Linear(9, hidden)
        self.lengths = GaussianSmearing(0.0, 4.0, 16)
        self.layers = nn.ModuleList(CGConv(hidden, dim=KINDS + 16) for _ in range(2))
        self.head = nn.Linear(hidden, 1)

    def forward(self, data: Data) -> torch.Tensor:
        """One number for each molecule."""
        source, target = data.edge_index
        length = (data.pos[source] - data.pos[target]).norm(dim=-1)
        bonds = torch.cat([data.edge_attr, self.lengths(length)], -1)
        x = self.first(data.x)
        for layer in self.layers:
            x = layer(x, data.edge_index, bonds).relu()
        return self.head(global_mean_pool(x, data.batch, size=data.num_graphs)).squeeze(-1)


def molecule(atoms: int) -> Data:
    """A chain of atoms 1.5 Å apart, with random features and bonds."""
    chain = torch.stack([torch.arange(atoms - 1), torch.arange(1, atoms)])
    kinds = nn.functional.one_hot(torch.randint(KINDS, (atoms - 1,)), KINDS).float()
    return Data(
        x=torch.randn(atoms, 9),
        pos=torch.arange(atoms)[:, None] * torch.tensor([1.5, 0.0, 0.0]),
        edge_index=torch.cat([chain, chain.flip(0)], 1),
        edge_attr=torch.cat([kinds, kinds]),
    )


Served = naiad.pyg(BondNet, example=molecule(12))


def main() -> None:
    """Ask about two molecules."""
    with naiad.serve(Served) as server, server.client() as client:
        for found in client.infer_many("bond_net", [molecule(5), molecule(30)]):
            print(found["output"])


if __name__ == "__main__":
    main()
