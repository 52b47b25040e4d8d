"""The NuGraph2 network in PyTorch Geometric; parameters have the names of Naiad's weights."""

from __future__ import annotations

import torch
from benchmarks.reference.graph import PLANES
from torch import Tensor, nn
from torch_geometric.data import HeteroData
from torch_geometric.nn import MessagePassing, SimpleConv


class ClassLinear(nn.Module):
    """A linear layer for the features of each class."""

    def __init__(self, in_features: int, out_features: int, classes: int) -> None:
        super().__init__()
        self.net = nn.ModuleList(nn.Linear(in_features, out_features) for _ in range(classes))

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([net(x[:, number]) for number, net in enumerate(self.net)], dim=1)


class Step(MessagePassing):
    """Messages with a gate shared out among the classes, and a two-layer network."""

    def __init__(self, source: int, target: int, out: int, classes: int, aggr: str) -> None:
        super().__init__(aggr=aggr, node_dim=0)
        both = target + source
        self.edge_net = nn.Sequential(ClassLinear(both, 1, classes), nn.Softmax(dim=1))
        self.node_net = nn.Sequential(
            ClassLinear(both, out, classes), nn.Tanh(), ClassLinear(out, out, classes), nn.Tanh()
        )

    def forward(self, x: tuple[Tensor, Tensor], edge_index: Tensor) -> Tensor:
        return self.propagate(edge_index, x=x, size=(len(x[0]), len(x[1])))

    def message(self, x_i: Tensor, x_j: Tensor) -> Tensor:
        return self.edge_net(torch.cat((x_i, x_j), dim=-1).detach()) * x_j

    def update(self, aggr_out: Tensor, x: tuple[Tensor, Tensor]) -> Tensor:
        return self.node_net(torch.cat((x[1], aggr_out), dim=-1))


class PerPlane(nn.Module):
    def __init__(self, make) -> None:
        super().__init__()
        self.net = nn.ModuleDict({plane: make() for plane in PLANES})


class Nexus(nn.Module):
    """Hits to spacepoints, and back."""

    def __init__(self, hit: int, nexus: int, classes: int) -> None:
        super().__init__()
        self.nexus_up = SimpleConv(aggr="sum", node_dim=0)
        self.nexus_net = nn.Sequential(
            ClassLinear(len(PLANES) * hit, nexus, classes),
            nn.Tanh(),
            ClassLinear(nexus, nexus, classes),
            nn.Tanh(),
        )
        self.nexus_down = nn.ModuleDict(
            {plane: Step(nexus, hit, hit, classes, "mean") for plane in PLANES}
        )

    def forward(self, hits: dict[str, Tensor], data: HeteroData) -> None:
        number = data["sp"].num_nodes
        sums = []
        for plane in PLANES:
            x = hits[plane]
            target = x.new_zeros(number, *x.shape[1:])
            sums.append(self.nexus_up((x, target), data[plane, "nexus", "sp"].edge_index))
        nexus = self.nexus_net(torch.cat(sums, dim=-1))
        for plane in PLANES:
            edges = data["sp", "nexus", plane].edge_index
            hits[plane] = self.nexus_down[plane]((nexus, hits[plane]), edges)


class NuGraph2(nn.Module):
    """The network from normalised features to the six outputs."""

    def __init__(
        self,
        *,
        in_features: int = 4,
        planar_features: int = 64,
        nexus_features: int = 16,
        semantic_classes: int = 5,
        num_iters: int = 5,
    ) -> None:
        super().__init__()
        given, hit, classes = in_features, planar_features, semantic_classes
        self.classes, self.num_iters = classes, num_iters
        self.encoder = PerPlane(lambda: nn.Sequential(ClassLinear(given, hit, classes), nn.Tanh()))
        self.plane_net = PerPlane(lambda: Step(hit + given, hit + given, hit, classes, "sum"))
        self.nexus_net = Nexus(hit, nexus_features, classes)
        self.semantic_decoder = PerPlane(lambda: ClassLinear(hit, 1, classes))
        self.filter_decoder = PerPlane(
            lambda: nn.Sequential(nn.Linear(classes * hit, 1), nn.Sigmoid())
        )

    def forward(self, data: HeteroData) -> dict[str, Tensor]:
        given = {p: data[p].x[:, None].expand(-1, self.classes, -1) for p in PLANES}
        hits = {p: self.encoder.net[p](given[p]) for p in PLANES}
        for _ in range(self.num_iters):
            for p in PLANES:
                x = torch.cat((hits[p], given[p]), dim=-1)
                hits[p] = self.plane_net.net[p]((x, x), data[p, "plane", p].edge_index)
            self.nexus_net(hits, data)
        semantic, filters = self.semantic_decoder.net, self.filter_decoder.net
        return {
            **{f"x_semantic_{p}": semantic[p](hits[p]).squeeze(-1) for p in PLANES},
            **{f"x_filter_{p}": filters[p](hits[p].flatten(1)).squeeze(-1) for p in PLANES},
        }
