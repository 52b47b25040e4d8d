"""Serve a trained network: a `state_dict` and the hyper-parameters it was trained with.

    python examples/trained_weights.py

Needs the extra `pyg`. The same from the command line, without a line of Naiad in `net.py`:
`naiad serve net.py:Net --example graph.pt --weights best.pt --set hidden=48`.
"""

import tempfile
from pathlib import Path

import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import GCNConv

import naiad


class Net(nn.Module):
    """Two graph convolutions."""

    def __init__(self, hidden: int = 16, classes: int = 3, dropout: float = 0.5) -> None:
        super().__init__()
        self.first, self.second = GCNConv(8, hidden), GCNConv(hidden, classes)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, edge_index):
        """Scores of each node."""
        x = self.dropout(self.first(x, edge_index).relu())
        return {"scores": self.second(x, edge_index)}


GRAPH = Data(x=torch.randn(6, 8), edge_index=torch.randint(6, (2, 15)))
Served = naiad.pyg(Net, example=GRAPH, settings={"hidden": 48})


def main() -> None:
    """Save weights as a training does, serve them, and compare with the network itself."""
    net = Net(hidden=48).eval()
    with tempfile.TemporaryDirectory() as folder:
        torch.save(net.state_dict(), Path(folder, "best.pt"))
        with naiad.serve(Served, weights=Path(folder, "best.pt")) as server:
            found = server.client().infer("net", GRAPH)["scores"]
    print((found - net(GRAPH.x, GRAPH.edge_index)["scores"]).abs().max() < 1e-5)


if __name__ == "__main__":
    main()
