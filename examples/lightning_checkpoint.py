"""Serve a checkpoint of PyTorch Lightning: its tensors and its hyper-parameters.

    python examples/lightning_checkpoint.py

Needs the extra `pyg`; Lightning is not needed. The checkpoint is written as Lightning's `Trainer`
writes one; its parameters are random.
"""

import tempfile
from pathlib import Path

import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import GCNConv

import naiad


class Net(nn.Module):
    """Two graph convolutions: the `self.model` of a `LightningModule`."""

    def __init__(self, hidden: int = 16, dropout: float = 0.5) -> None:
        super().__init__()
        self.first, self.second = GCNConv(8, hidden), GCNConv(hidden, 3)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, edge_index):
        """Scores of each node."""
        return self.second(self.dropout(self.first(x, edge_index).relu()), edge_index)


def checkpoint(net: nn.Module, **hyper_parameters) -> dict[str, object]:
    """Some entries of Lightning's checkpoints, with those of `save_hyperparameters()`."""
    return {
        "epoch": 9,
        "pytorch-lightning_version": "2.5.0",
        "state_dict": {f"model.{name}": tensor for name, tensor in net.state_dict().items()},
        "hparams_name": "kwargs",
        "hyper_parameters": hyper_parameters,
    }


GRAPH = Data(x=torch.randn(6, 8), edge_index=torch.randint(6, (2, 15)))
Served = naiad.pyg(Net, example=GRAPH)


def main() -> None:
    """Save a checkpoint as a training does, serve it, and compare with the network itself."""
    net = Net(hidden=48).eval()
    with tempfile.TemporaryDirectory() as folder:
        best = Path(folder, "best.ckpt")
        torch.save(checkpoint(net, hidden=48, learning_rate=0.01), best)
        with naiad.serve(Served, weights=best) as server, server.client() as client:
            found = client.infer("net", GRAPH)["output"]
    print((found - net(GRAPH.x, GRAPH.edge_index)).abs().max() < 1e-5)


if __name__ == "__main__":
    main()
