"""GraphSAGE with the mean aggregator (Hamilton, Ying and Leskovec, arXiv:1706.02216).

Plain torch. Parameters have the names and shapes of PyTorch Geometric's ``SAGEConv``, so a network
that was trained with it loads here and answers the same.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from naiad.applications.products.card import Architecture


class SageConv(nn.Module):
    """One layer: a linear map of the mean of a node's neighbours, and one of the node itself."""

    def __init__(self, inputs: int, outputs: int) -> None:
        """Make a layer from ``inputs`` to ``outputs`` numbers per node."""
        super().__init__()
        self.lin_l = nn.Linear(inputs, outputs)
        self.lin_r = nn.Linear(inputs, outputs, bias=False)

    def forward(self, x: Tensor, own: Tensor, neighbours: Tensor, starts: Tensor) -> Tensor:
        """New features of some nodes: float32 ``[nodes, outputs]``.

        Args:
            x: features that neighbours are looked up in: float32 ``[rows, inputs]``.
            own: features of the nodes themselves: float32 ``[nodes, inputs]``.
            neighbours: the rows of all nodes' neighbours, node by node: int64 ``[edges]``.
            starts: where in ``neighbours`` each node's begin: int64 ``[nodes]``. The mean of none
                is 0.
        """
        # Looks up and averages in one go. Gathering the edges' features and adding them up by node
        # takes 2 to 6 times as long on one core (benchmarks/products.py).
        mean = F.embedding_bag(neighbours, x, starts, mode="mean")
        return self.lin_l(mean) + self.lin_r(own)


class SageNet(nn.Module):
    """Layers of :class:`SageConv`, with ReLU between them."""

    def __init__(self, architecture: Architecture, dropout: float = 0.0) -> None:
        """Make the network with random parameters; ``dropout`` is for training."""
        super().__init__()
        self.architecture = architecture
        self.dropout = dropout
        self.convs = nn.ModuleList(SageConv(*pair) for pair in pairwise(architecture.widths()))

    def layer(
        self, number: int, x: Tensor, own: Tensor, neighbours: Tensor, starts: Tensor
    ) -> Tensor:
        """What layer ``number``, from 0, makes of its inputs; see :meth:`SageConv.forward`."""
        x = self.convs[number](x, own, neighbours, starts)
        if number == self.architecture.layers - 1:
            return x
        return F.dropout(F.relu(x), self.dropout, self.training)

    def forward(
        self, x: Tensor, node_hop: Tensor, edge_index: Tensor, edge_hop: Tensor
    ) -> list[Tensor]:
        """What each layer says of the nodes that were asked about, from sampled neighbourhoods.

        The first layer is computed for all nodes but those of the last hop, the second for all but
        those of the last two, and so on: what is not needed for hop 0 is not computed.

        Args:
            x: features of all nodes: float32 ``[nodes, features]``.
            node_hop: as in :class:`~naiad.applications.products.sampler.Neighbourhood`, or several
                of them merged: int8 ``[nodes]``.
            edge_index: int64 ``[2, edges]``; in each hop sorted by row 1.
            edge_hop: int8 ``[edges]``.

        Returns:
            per layer, float32 ``[nodes of hop 0, width]``.
        """
        answers: list[Tensor] = []
        for number, hop in enumerate(range(self.architecture.layers, 0, -1)):
            kept = (node_hop < hop).nonzero()[:, 0]
            place = torch.cumsum(node_hop < hop, 0) - 1
            here = edge_hop == hop
            source, target = edge_index[0, here], place[edge_index[1, here]]
            starts = starts_of(target, len(kept))
            x = self.layer(number, x, x[kept], source, starts)
            node_hop, edge_index, edge_hop = (
                node_hop[kept],
                place[edge_index[:, ~here]],
                edge_hop[~here],
            )
            answers.append(x[node_hop == 0])
        return answers


def starts_of(target: Tensor, nodes: int) -> Tensor:
    """Where each node's edges begin among edges that are sorted by target: int64 ``[nodes]``."""
    count = torch.bincount(target, minlength=nodes)
    return torch.cumsum(count, 0) - count
