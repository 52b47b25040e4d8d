"""GraphSAGE with the mean aggregator (Hamilton, Ying and Leskovec, arXiv:1706.02216).

Plain torch. Parameters have the names and shapes of PyTorch Geometric's ``SAGEConv``, so a network
trained with it loads here and gives the same answers.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from naiad.applications.products.card import Architecture


class SageConv(nn.Module):
    """One layer: a linear map of the neighbours' mean plus one of the node itself."""

    def __init__(self, inputs: int, outputs: int) -> None:
        """Create a layer from ``inputs`` to ``outputs`` numbers per node."""
        super().__init__()
        self.lin_l = nn.Linear(inputs, outputs)
        self.lin_r = nn.Linear(inputs, outputs, bias=False)

    def forward(self, x: Tensor, own: Tensor, neighbours: Tensor, starts: Tensor) -> Tensor:
        """Return new features of the nodes: float32 ``[nodes, outputs]``.

        Args:
            x: features of the neighbours: float32 ``[rows, inputs]``.
            own: features of the nodes themselves: float32 ``[nodes, inputs]``.
            neighbours: the rows of all nodes' neighbours, node by node: int64 ``[edges]``.
            starts: where each node's neighbours begin in ``neighbours``: int64 ``[nodes]``. The
                mean of no neighbours is 0.
        """
        # Looks up and averages at once. Gathering the edges' features and summing them by node
        # takes 2 to 6 times as long on one core (benchmarks/products.py).
        mean = F.embedding_bag(neighbours, x, starts, mode="mean")
        return self.lin_l(mean) + self.lin_r(own)


class SageNet(nn.Module):
    """Layers of :class:`SageConv`, with ReLU between them."""

    def __init__(self, architecture: Architecture, dropout: float = 0.0) -> None:
        """Create the network with random parameters; ``dropout`` is for training."""
        super().__init__()
        self.architecture = architecture
        self.dropout = dropout
        self.convs = nn.ModuleList(SageConv(*pair) for pair in pairwise(architecture.widths()))

    def layer(
        self, number: int, x: Tensor, own: Tensor, neighbours: Tensor, starts: Tensor
    ) -> Tensor:
        """Run layer ``number``, from 0, with its ReLU; see :meth:`SageConv.forward`."""
        x = self.convs[number](x, own, neighbours, starts)
        if number == self.architecture.layers - 1:
            return x
        return F.dropout(F.relu(x), self.dropout, self.training)

    def forward(
        self, x: Tensor, node_hop: Tensor, edge_index: Tensor, edge_hop: Tensor
    ) -> list[Tensor]:
        """Return each layer's output for the requested nodes, from sampled neighbourhoods.

        The first layer is computed for all nodes except the last hop's, the second for all except
        the last two hops', and so on: only what hop 0 needs is computed.

        Args:
            x: features of all nodes: float32 ``[nodes, features]``.
            node_hop: as in :class:`~naiad.applications.products.sampler.Neighbourhood`, one or
                several merged: int8 ``[nodes]``.
            edge_index: int64 ``[2, edges]``; sorted by row 1 within each hop.
            edge_hop: int8 ``[edges]``.

        Returns:
            float32 ``[nodes of hop 0, width]`` per layer.
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
    """Return where each node's edges begin among edges sorted by target: int64 ``[nodes]``."""
    count = torch.bincount(target, minlength=nodes)
    return torch.cumsum(count, 0) - count
