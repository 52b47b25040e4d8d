"""Predict links: a score for each pair of nodes that is asked about.

    python examples/link_prediction.py

Needs the extra `pyg`. The parameters are random: only the shapes mean something.
"""

import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import SAGEConv

import naiad


class Links(nn.Module):
    """Two layers of GraphSAGE, and the product of the vectors of two nodes."""

    def __init__(self, hidden: int = 32) -> None:
        super().__init__()
        self.first, self.second = SAGEConv(16, hidden), SAGEConv(hidden, hidden)

    def forward(self, x, edge_index, edge_label_index):
        """The probability of each pair."""
        z = self.second(self.first(x, edge_index).relu(), edge_index)
        source, target = edge_label_index
        return (z[source] * z[target]).sum(-1).sigmoid()


def friends(people: int, pairs: int) -> Data:
    """A random graph, and pairs to ask about."""
    return Data(
        x=torch.randn(people, 16),
        edge_index=torch.randint(people, (2, 4 * people)),
        edge_label_index=torch.randint(people, (2, pairs)),
    )


Served = naiad.pyg(Links, example=friends(10, 6))


def main() -> None:
    """Ask about three pairs."""
    with naiad.serve(Served) as server, server.client() as client:
        print(client.infer("links", friends(30, 3))["output"])


if __name__ == "__main__":
    main()
