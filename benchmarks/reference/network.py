"""The NuGraph3 network in PyTorch Geometric; parameters have the names of the checkpoint."""

from __future__ import annotations

import torch
from benchmarks.reference.graph import PLANES
from torch import Tensor, nn
from torch_geometric.data import HeteroData
from torch_geometric.nn import HeteroConv, MessagePassing
from torch_geometric.nn.aggr import SoftmaxAggregation


class Block(MessagePassing):
    """Gated messages, softmax aggregation, and a two-layer network."""

    def __init__(self, source: int, target: int, out: int) -> None:
        super().__init__(aggr=SoftmaxAggregation())
        self.edge_net = nn.Sequential(nn.Linear(source + target, 1), nn.Sigmoid())
        self.net = nn.Sequential(
            nn.Linear(source + target, out), nn.Mish(), nn.Linear(out, out), nn.Mish()
        )

    def forward(self, x: Tensor | tuple[Tensor, Tensor], edge_index: Tensor) -> Tensor:
        return self.propagate(edge_index, x=(x, x) if isinstance(x, Tensor) else x)

    def message(self, x_i: Tensor, x_j: Tensor) -> Tensor:
        return self.edge_net(torch.cat((x_i, x_j), dim=1).detach()) * x_j

    def update(self, aggr_out: Tensor, x: tuple[Tensor, Tensor]) -> Tensor:
        return self.net(torch.cat((aggr_out, x[1]), dim=1))


class Core(nn.Module):
    """One iteration through the hierarchy."""

    def __init__(self, hit: int, nexus: int, event: int) -> None:
        super().__init__()
        wide = nexus * len(PLANES)
        self.plane_net = HeteroConv({(p, "plane", p): Block(hit, hit, hit) for p in PLANES})
        self.plane_to_nexus = HeteroConv(
            {(p, "nexus", "sp"): Block(hit, nexus, nexus) for p in PLANES}, aggr="cat"
        )
        self.nexus_to_interaction = HeteroConv({("sp", "in", "evt"): Block(wide, event, event)})
        self.interaction_to_nexus = HeteroConv({("evt", "owns", "sp"): Block(event, wide, nexus)})
        self.nexus_to_plane = HeteroConv(
            {("sp", "nexus", p): Block(nexus, hit, hit) for p in PLANES}
        )

    def forward(self, x: dict[str, Tensor], edges: dict[tuple[str, str, str], Tensor]) -> None:
        x.update(self.plane_net(x, edges))
        x.update(self.plane_to_nexus(x, edges))
        x.update(self.nexus_to_interaction(x, edges))
        x.update(self.interaction_to_nexus(x, edges))
        x.update(self.nexus_to_plane(x, edges))


class Encoder(nn.Module):
    def __init__(self, in_features: int, hit: int) -> None:
        super().__init__()
        self.lins = nn.ModuleDict({p: nn.Linear(in_features, hit) for p in PLANES})


class Decoder(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net


class NuGraph3(nn.Module):
    """The network from normalised features to the eight outputs."""

    def __init__(
        self,
        *,
        in_features: int = 4,
        planar_features: int = 128,
        nexus_features: int = 32,
        interaction_features: int = 32,
        semantic_classes: int = 7,
        event_classes: int = 4,
        num_iters: int = 5,
    ) -> None:
        super().__init__()
        hit, event = planar_features, interaction_features
        self.nexus_features, self.interaction_features = nexus_features, interaction_features
        self.num_iters = num_iters
        self.encoder = Encoder(in_features, hit)
        self.core_net = Core(hit, nexus_features, event)
        self.event_decoder = Decoder(nn.Linear(event, event_classes))
        self.vertex_decoder = Decoder(nn.Linear(event, 3))
        self.semantic_decoder = Decoder(
            nn.ModuleDict({p: nn.Linear(hit, semantic_classes) for p in PLANES})
        )
        self.filter_decoder = Decoder(
            nn.ModuleDict({p: nn.Sequential(nn.Linear(hit, 1), nn.Sigmoid()) for p in PLANES})
        )

    def forward(self, data: HeteroData) -> dict[str, Tensor]:
        x = {p: self.encoder.lins[p](data[p].x) for p in PLANES}
        x["sp"] = torch.zeros(data["sp"].num_nodes, self.nexus_features)
        x["evt"] = torch.zeros(data["evt"].num_nodes, self.interaction_features)
        for _ in range(self.num_iters):
            self.core_net(x, data.edge_index_dict)
        semantic, filters = self.semantic_decoder.net, self.filter_decoder.net
        return {
            "e_evt": self.event_decoder.net(x["evt"]),
            **{f"x_semantic_{p}": semantic[p](x[p]) for p in PLANES},
            **{f"x_filter_{p}": filters[p](x[p]).squeeze(-1) for p in PLANES},
            "v_evt": self.vertex_decoder.net(x["evt"]),
        }
