"""A molecule classifier, as its author wrote it."""

import torch
from torch import nn
from torch_geometric.nn import GINConv, global_add_pool

FEATURES, HIDDEN, CLASSES = 9, 64, 2


class MolNet(nn.Module):
    """A graph isomorphism network of three layers of 64."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        sizes = (FEATURES, HIDDEN, HIDDEN)
        self.layers = nn.ModuleList(GINConv(_mlp(size)) for size in sizes)
        self.head = nn.Linear(HIDDEN, CLASSES)

    def forward(self, x, edge_index, batch, batch_size):
        for layer in self.layers:
            x = layer(x, edge_index).relu()
        return self.head(global_add_pool(x, batch, size=batch_size))


def _mlp(size: int) -> nn.Module:
    return nn.Sequential(nn.Linear(size, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN))
