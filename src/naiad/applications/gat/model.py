"""Graph attention network of two layers (Velickovic et al., arXiv:1710.10903), for inference.

Plain torch. Parameters have the names and shapes of PyTorch Geometric's ``GATConv``, so a network
trained with it loads here and gives the same answers.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import nn
from torch.nn import functional as F

from naiad.applications.gat.card import Architecture

_SLOPE: Final = 0.2  # of the attention scores' leaky ReLU, as in the paper


class GatConv(nn.Module):
    """A layer of attention over a node's incoming edges and the node itself.

    Self-loops in the input are ignored, as each node has one already. Nodes without edges see only
    themselves.
    """

    def __init__(self, inputs: int, outputs: int, heads: int, *, concat: bool) -> None:
        """Make a layer whose ``heads`` of ``outputs`` features are concatenated or averaged."""
        super().__init__()
        self.concat = concat
        self.lin = nn.Linear(inputs, heads * outputs, bias=False)
        self.att_src = nn.Parameter(torch.zeros(1, heads, outputs))
        self.att_dst = nn.Parameter(torch.zeros(1, heads, outputs))
        self.bias = nn.Parameter(torch.zeros(heads * outputs if concat else outputs))

    def forward(self, x: torch.Tensor, edge_index: torch.Tensor) -> torch.Tensor:
        """Return new features: float32 ``[nodes, heads * outputs]``, or ``[nodes, outputs]``.

        No shape depends on values, and self-loops are a separate term instead of more edges, so
        that it can be traced, exported and compiled for any size of graph. Temporaries are reused
        in place, as memory already in a cache costs less.
        """
        _, heads, outputs = self.att_src.shape
        h = self.lin(x).view(-1, heads, outputs)
        source, target = edge_index[0], edge_index[1]
        sent, met = (h * self.att_src).sum(-1), (h * self.att_dst).sum(-1)
        own = F.leaky_relu_(sent + met, _SLOPE)
        score = sent.index_select(0, source).add_(met.index_select(0, target))
        score = F.leaky_relu_(score, _SLOPE)
        # Softmax over each node's messages, divided by its sum at the end. A self-loop in the input
        # has the score of the node's own term, so the maximum stays, and gets the weight 0.
        most = own.scatter_reduce(0, target[:, None].expand_as(score), score, "amax")
        own = own.sub_(most).exp_()
        weight = score.sub_(most.index_select(0, target)).exp_().mul_((source != target)[:, None])
        total = own.index_add(0, target, weight)
        message = h.index_select(0, source).mul_(weight[..., None])
        out = (h * own[..., None]).index_add_(0, target, message).div_(total[..., None])
        return (out.flatten(1) if self.concat else out.mean(1)).add_(self.bias)


class GatNet(nn.Module):
    """The network: class scores of each node from its and its neighbours' features."""

    def __init__(self, architecture: Architecture) -> None:
        """Make the network, whose parameters are to be loaded."""
        super().__init__()
        a = architecture
        self.conv1 = GatConv(a.features, a.hidden, a.heads, concat=True)
        self.conv2 = GatConv(a.hidden * a.heads, a.classes, a.out_heads, concat=False)

    def forward(self, x: torch.Tensor, edge_index: torch.Tensor) -> torch.Tensor:
        """Map float32 ``[nodes, features]`` and int64 ``[2, edges]`` to ``[nodes, classes]``."""
        return self.conv2(F.elu_(self.conv1(x, edge_index)), edge_index)
