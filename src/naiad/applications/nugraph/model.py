"""The NuGraph3 network in plain torch, with the parameter names of the original checkpoint.

NuGraph (arXiv:2403.11872) labels the hits of a neutrino event by passing messages along the three
wire planes of a time-projection chamber. NuGraph3 adds a hierarchy on top, hits -> spacepoints
("nexus") -> the event ("interaction") and back, and goes through it ``num_iters`` times with the
same weights.

This is the readable form, and the one to train.
:class:`naiad.applications.nugraph.compiled.CompiledNuGraph3` is the same function in C++, for CPUs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from naiad.applications.nugraph.card import Architecture
from naiad.applications.nugraph.normalisation import NormalisedNet
from naiad.errors import MissingExtra

try:
    import torch
    from torch import Tensor, nn
    from torch.nn import functional as F
except ImportError as error:
    raise MissingExtra("nugraph3-train", error.name or "torch") from error


class Block(nn.Module):
    """One step of message passing: gated messages, softmax aggregation, a two-layer network.

    The gate is one number per edge (attention of the target for the source); the aggregation is
    PyG's ``SoftmaxAggregation``, a mean per channel weighted by the softmax of the messages
    themselves (GENConv, arXiv:2006.07739).

    Args:
        source: features of the nodes that messages come from.
        target: features of the nodes that receive them.
        out: features of a target node afterwards.
        single: every target has at most one edge, so the softmax is 1 and is skipped.
    """

    def __init__(self, source: int, target: int, out: int, *, single: bool = False) -> None:
        """Make the two networks, with torch's default initialisation."""
        super().__init__()
        self.source, self.target, self.single = source, target, single
        self.edge_net = nn.Sequential(nn.Linear(source + target, 1), nn.Sigmoid())
        self.net = nn.Sequential(
            nn.Linear(source + target, out), nn.Mish(), nn.Linear(out, out), nn.Mish()
        )

    def forward(self, xs: Tensor, xt: Tensor, src: Tensor, dst: Tensor) -> Tensor:
        """Return the new features of the targets, float32 ``[targets, out]``.

        Args:
            xs: features of the sources, ``[sources, source]``.
            xt: features of the targets, ``[targets, target]``.
            src: source of each edge, int64 ``[edges]``.
            dst: target of each edge, int64 ``[edges]``.
        """
        messages = self.gates(xs, xt, src, dst) * xs.index_select(0, src)
        aggregate = _sum if self.single else _softmax_mean
        return self.net(torch.cat((aggregate(messages, dst, len(xt)), xt), dim=1))

    def gates(self, xs: Tensor, xt: Tensor, src: Tensor, dst: Tensor) -> Tensor:
        """Return each edge's gate in (0, 1), ``[edges, 1]``; features get no gradient from it."""
        of_target, of_source = self.gate.weight.split((self.target, self.source), dim=1)
        score = F.linear(xt.detach(), of_target, self.gate.bias).index_select(0, dst)
        return torch.sigmoid(score + F.linear(xs.detach(), of_source).index_select(0, src))

    @property
    def gate(self) -> nn.Linear:
        """The layer of the gate: its inputs are the target's features, then the source's."""
        return cast(nn.Linear, self.edge_net[0])

    @property
    def first(self) -> nn.Linear:
        """The first layer: its inputs are the aggregated message, then the target's features."""
        return cast(nn.Linear, self.net[0])

    @property
    def second(self) -> nn.Linear:
        """The second layer."""
        return cast(nn.Linear, self.net[2])


def _sum(messages: Tensor, dst: Tensor, targets: int) -> Tensor:
    return messages.new_zeros(targets, messages.shape[1]).index_add(0, dst, messages)


def _softmax_mean(messages: Tensor, dst: Tensor, targets: int) -> Tensor:
    top = segment_max(messages.detach(), dst, targets).index_select(0, dst)
    weights = torch.exp(messages - top)
    total = _sum(weights, dst, targets)
    return _sum(weights * messages, dst, targets) / (total + 1e-16)


def segment_max(values: Tensor, dst: Tensor, targets: int) -> Tensor:
    """Return the largest value per target and channel; 0 for a target without edges."""
    zeros = values.new_zeros(targets, values.shape[1])
    index = dst[:, None].expand_as(values)
    return zeros.scatter_reduce(0, index, values, "amax", include_self=False)


class Blocks(nn.Module):
    """The blocks of one relation, by PyG's name of the edge type."""

    def __init__(self, blocks: Mapping[str, Block]) -> None:
        """Hold the blocks, in the order of the planes."""
        super().__init__()
        self.convs = nn.ModuleDict(dict(blocks))

    def __iter__(self) -> Iterator[Block]:
        """Iterate over the blocks, in the order of the planes."""
        return cast(Iterator[Block], iter(self.convs.values()))


class Core(nn.Module):
    """One iteration through the hierarchy: hits, spacepoints, event, and down again."""

    def __init__(self, arch: Architecture) -> None:
        """Make the blocks of all five relations."""
        super().__init__()
        hit, nexus, event = arch.planar_features, arch.nexus_features, arch.interaction_features
        wide = nexus * len(arch.planes)
        planes = arch.planes
        self.plane_net = Blocks({f"<{p}___plane___{p}>": Block(hit, hit, hit) for p in planes})
        self.plane_to_nexus = Blocks(
            {f"<{p}___nexus___sp>": Block(hit, nexus, nexus, single=True) for p in planes}
        )
        self.nexus_to_interaction = Blocks({"<sp___in___evt>": Block(wide, event, event)})
        self.interaction_to_nexus = Blocks(
            {"<evt___owns___sp>": Block(event, wide, nexus, single=True)}
        )
        self.nexus_to_plane = Blocks(
            {f"<sp___nexus___{p}>": Block(nexus, hit, hit) for p in planes}
        )

    def forward(
        self,
        hits: Sequence[Tensor],
        nexus: Tensor,
        event: Tensor,
        plane_edges: Sequence[Tensor],
        nexus_edges: Sequence[Tensor],
        sp_event: Tensor,
    ) -> tuple[list[Tensor], Tensor, Tensor]:
        """Return new features of hits (one table per plane), spacepoints and events."""
        (gather,), (spread,) = self.nexus_to_interaction, self.interaction_to_nexus
        each = torch.arange(len(sp_event), device=sp_event.device)
        hits = [
            block(x, x, *edges)
            for block, x, edges in zip(self.plane_net, hits, plane_edges, strict=True)
        ]
        seen = [
            block(x, nexus, *edges)
            for block, x, edges in zip(self.plane_to_nexus, hits, nexus_edges, strict=True)
        ]
        wide = torch.cat(seen, dim=1)
        event = gather(wide, event, each, sp_event)
        nexus = spread(event, wide, sp_event, each)
        hits = [
            block(nexus, x, *edges.flip(0))
            for block, x, edges in zip(self.nexus_to_plane, hits, nexus_edges, strict=True)
        ]
        return hits, nexus, event


class PlaneLinear(nn.Module):
    """The encoder: one linear layer per plane."""

    def __init__(self, planes: Sequence[str], in_features: int, out_features: int) -> None:
        """Make the layers."""
        super().__init__()
        self.lins = nn.ModuleDict({p: nn.Linear(in_features, out_features) for p in planes})


class Decoder(nn.Module):
    """A head of the network; ``net`` is its layer, or one layer per plane."""

    def __init__(self, net: nn.Module) -> None:
        """Hold ``net``."""
        super().__init__()
        self.net = net

    def __getitem__(self, plane: str) -> nn.Module:
        """Return the layer of a plane."""
        return cast(nn.ModuleDict, self.net)[plane]


class NuGraph3Net(NormalisedNet):
    """NuGraph3: event class, vertex, and class and signal probability of each hit."""

    def __init__(self, arch: Architecture | None = None) -> None:
        """Make an untrained network that does not yet normalise its input."""
        arch = arch or Architecture()
        super().__init__(arch.planes, arch.in_features)
        self.arch = arch
        planes, hit, event = arch.planes, arch.planar_features, arch.interaction_features
        self.encoder = PlaneLinear(planes, arch.in_features, hit)
        self.core_net = Core(arch)
        self.event_decoder = Decoder(nn.Linear(event, arch.event_classes))
        self.semantic_decoder = Decoder(
            nn.ModuleDict({p: nn.Linear(hit, arch.semantic_classes) for p in planes})
        )
        self.filter_decoder = Decoder(
            nn.ModuleDict({p: nn.Sequential(nn.Linear(hit, 1), nn.Sigmoid()) for p in planes})
        )
        self.vertex_decoder = Decoder(nn.Linear(event, 3))

    def forward(self, batch: Mapping[str, Tensor], num_events: int) -> dict[str, Tensor]:
        """Label a block-diagonal batch of events.

        Args:
            batch: the tensors of :data:`naiad.applications.nugraph.schema.SAMPLE`, merged: per
                plane p ``x_p`` float32 ``[hits_p, 4]``, ``plane_edge_p`` and ``nexus_edge_p`` int64
                ``[2, edges]``, and ``sp_event`` int64 ``[spacepoints]``.
            num_events: number of merged events.

        Returns:
            ``e_evt`` ``[events, 4]`` and ``x_semantic_p`` ``[hits_p, 7]`` (logits),
            ``x_filter_p`` ``[hits_p]`` (probability), ``v_evt`` ``[events, 3]`` (cm).
        """
        arch, planes = self.arch, self.arch.planes
        hits: list[Tensor] = [self.encoder.lins[p](self.normalised(batch, p)) for p in planes]
        sp_event = batch["sp_event"]
        nexus = hits[0].new_zeros(len(sp_event), arch.nexus_features)
        event = hits[0].new_zeros(num_events, arch.interaction_features)
        plane_edges = [batch[f"plane_edge_{p}"] for p in planes]
        nexus_edges = [batch[f"nexus_edge_{p}"] for p in planes]
        for _ in range(arch.num_iters):
            hits, nexus, event = self.core_net(
                hits, nexus, event, plane_edges, nexus_edges, sp_event
            )
        by_plane = dict(zip(planes, hits, strict=True))
        semantic, filters = self.semantic_decoder, self.filter_decoder
        return {
            "e_evt": self.event_decoder.net(event),
            **{f"x_semantic_{p}": semantic[p](x) for p, x in by_plane.items()},
            **{f"x_filter_{p}": filters[p](x).squeeze(1) for p, x in by_plane.items()},
            "v_evt": self.vertex_decoder.net(event),
        }
