"""Forecast traffic step by step: clients keep the state, and send it again with the next step.

    python examples/temporal.py

Needs the extra `pyg`. The parameters are random: only the shapes mean something.
"""

import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import GraphConv

import naiad
from naiad import Tensor

HIDDEN = 16


class Traffic(nn.Module):
    """A gated recurrent unit of graph convolutions (Seo et al., arXiv:1612.07659)."""

    def __init__(self) -> None:
        super().__init__()
        self.gates = GraphConv(2 + HIDDEN, 2 * HIDDEN)
        self.candidate = GraphConv(2 + HIDDEN, HIDDEN)
        self.head = nn.Linear(HIDDEN, 1)

    def forward(self, x, edge_index, edge_weight, h):
        """The next speed at each sensor, and the new state of each."""
        gates = self.gates(torch.cat([x, h], -1), edge_index, edge_weight).sigmoid()
        update, reset = gates.chunk(2, -1)
        new = self.candidate(torch.cat([x, reset * h], -1), edge_index, edge_weight).tanh()
        h = update * h + (1 - update) * new
        return {"speed": self.head(h).squeeze(-1), "h": h}


def roads(sensors: int) -> Data:
    """A ring of sensors, with the roads' weights."""
    ring = torch.stack([torch.arange(sensors), torch.arange(sensors).roll(1)])
    return Data(
        x=torch.randn(sensors, 2),
        edge_index=torch.cat([ring, ring.flip(0)], 1),
        edge_weight=torch.rand(2 * sensors),
    )


EXAMPLE = roads(10)
EXAMPLE.h = torch.zeros(10, HIDDEN)
STATE = Tensor("float32", ("nodes", HIDDEN), optional=True, default=0.0)
Served = naiad.pyg(Traffic, example=EXAMPLE, inputs={"h": STATE})


def main() -> None:
    """Send six steps of one network of roads; the first has no state."""
    graph = roads(25)
    with naiad.serve(Served) as server, server.client() as client:
        for _ in range(6):
            graph.x = torch.randn(25, 2)
            answer = client.infer("traffic", graph)
            graph.h = answer["h"]
            print(answer["speed"].mean())


if __name__ == "__main__":
    main()
