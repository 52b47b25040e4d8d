"""The NuGraph2 network in plain torch, with the parameter names of the original checkpoint.

NuGraph2 (arXiv:2403.11872) labels the hits of a neutrino event by passing messages along the three
wire planes of a time-projection chamber and, through spacepoints ("nexus"), between planes; it does
so ``num_iters`` times with the same weights. A hit or spacepoint has features for each semantic
class apart, and layers of their own for each class. The classes only meet in the gates of messages,
which share each edge's attention out among them, and in the filter.

This is the readable form, and the one to train.
:class:`naiad.applications.nugraph.nugraph2_compiled.CompiledNuGraph2` is the same function in C++,
for CPUs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

from naiad.applications.nugraph.card import NuGraph2Architecture
from naiad.applications.nugraph.normalisation import NormalisedNet
from naiad.errors import MissingExtra

try:
    import torch
    from torch import Tensor, nn
except ImportError as error:
    raise MissingExtra("nugraph3-train", error.name or "torch") from error


class ClassLinear(nn.Module):
    """A linear layer for each class, which acts on the features of that class."""

    def __init__(self, in_features: int, out_features: int, classes: int) -> None:
        """Make the layers, with torch's default initialisation."""
        super().__init__()
        self.net = nn.ModuleList(nn.Linear(in_features, out_features) for _ in range(classes))

    def __iter__(self) -> Iterator[nn.Linear]:
        """Iterate over the layers, in the order of the classes."""
        return cast(Iterator[nn.Linear], iter(self.net))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``[n, classes, out]`` for ``x`` ``[n, classes, in]``."""
        return _product(x, self.weight) + self.bias

    @property
    def weight(self) -> Tensor:
        """The weights of all classes, ``[classes, out, in]``."""
        return torch.stack([layer.weight for layer in self])

    @property
    def bias(self) -> Tensor:
        """The biases of all classes, ``[classes, out]``."""
        return torch.stack([layer.bias for layer in self])


def _product(x: Tensor, weight: Tensor) -> Tensor:
    return torch.einsum("nci,coi->nco", x, weight)


class MessagePassing(nn.Module):
    """One step of message passing: gated messages, their sum or mean, a two-layer network.

    The gates of an edge are the softmax over the classes of one number each, attention of the
    target for the source.

    Args:
        source: features of the nodes that messages come from, per class.
        target: features of the nodes that receive them, per class.
        out: features of a target node afterwards, per class.
        classes: the number of classes.
        mean: average the messages, instead of adding them.
    """

    def __init__(
        self, source: int, target: int, out: int, classes: int, *, mean: bool = False
    ) -> None:
        """Make the two networks, with torch's default initialisation."""
        super().__init__()
        self.source, self.target, self.mean = source, target, mean
        self.edge_net = nn.Sequential(ClassLinear(target + source, 1, classes), nn.Softmax(dim=1))
        self.node_net = nn.Sequential(
            ClassLinear(target + source, out, classes),
            nn.Tanh(),
            ClassLinear(out, out, classes),
            nn.Tanh(),
        )

    def forward(self, xs: Tensor, xt: Tensor, src: Tensor, dst: Tensor) -> Tensor:
        """Return the new features of the targets, float32 ``[targets, classes, out]``.

        Args:
            xs: features of the sources, ``[sources, classes, source]``.
            xt: features of the targets, ``[targets, classes, target]``.
            src: source of each edge, int64 ``[edges]``.
            dst: target of each edge, int64 ``[edges]``.
        """
        messages = self.gates(xs, xt, src, dst) * xs.index_select(0, src)
        received = messages.new_zeros(len(xt), *xs.shape[1:]).index_add(0, dst, messages)
        if self.mean:
            edges = dst.bincount(minlength=len(xt)).clamp(min=1)
            received = received / edges[:, None, None]
        return self.node_net(torch.cat((xt, received), dim=2))

    def gates(self, xs: Tensor, xt: Tensor, src: Tensor, dst: Tensor) -> Tensor:
        """Return each edge's gates, ``[edges, classes, 1]``; features get no gradient from them."""
        layer = cast(ClassLinear, self.edge_net[0])
        of_target, of_source = layer.weight.split((self.target, self.source), dim=2)
        score = (_product(xt.detach(), of_target) + layer.bias).index_select(0, dst)
        score = score + _product(xs.detach(), of_source).index_select(0, src)
        return self.edge_net[1](score)


class PerPlane(nn.Module):
    """A module for each plane."""

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        """Hold the modules."""
        super().__init__()
        self.net = nn.ModuleDict(dict(modules))

    def __getitem__(self, plane: str) -> nn.Module:
        """Return the module of a plane."""
        return self.net[plane]


class NexusNet(nn.Module):
    """Hits of all planes to their spacepoints, and back."""

    def __init__(self, arch: NuGraph2Architecture) -> None:
        """Make the networks of spacepoints, and of each plane's hits."""
        super().__init__()
        hit, nexus, classes = arch.planar_features, arch.nexus_features, arch.semantic_classes
        self.nexus_net = nn.Sequential(
            ClassLinear(len(arch.planes) * hit, nexus, classes),
            nn.Tanh(),
            ClassLinear(nexus, nexus, classes),
            nn.Tanh(),
        )
        self.nexus_down = nn.ModuleDict(
            {p: MessagePassing(nexus, hit, hit, classes, mean=True) for p in arch.planes}
        )

    def forward(
        self, hits: Mapping[str, Tensor], edges: Mapping[str, Tensor], points: int
    ) -> dict[str, Tensor]:
        """Return new features of the hits of each plane.

        Args:
            hits: by plane, features of its hits, ``[hits, classes, features]``.
            edges: by plane, hit and spacepoint of each edge, int64 ``[2, edges]``.
            points: the number of spacepoints.
        """
        sums = [
            x.new_zeros(points, *x.shape[1:]).index_add(0, point, x.index_select(0, hit))
            for x, (hit, point) in ((x, edges[p]) for p, x in hits.items())
        ]
        nexus = self.nexus_net(torch.cat(sums, dim=2))
        return {p: self.nexus_down[p](nexus, x, edges[p][1], edges[p][0]) for p, x in hits.items()}


class NuGraph2Net(NormalisedNet):
    """NuGraph2: class and signal probability of each hit."""

    def __init__(self, arch: NuGraph2Architecture | None = None) -> None:
        """Make an untrained network that does not yet normalise its input."""
        arch = arch or NuGraph2Architecture()
        super().__init__(arch.planes, arch.in_features)
        self.arch = arch
        planes, hit, classes = arch.planes, arch.planar_features, arch.semantic_classes
        given = arch.in_features
        self.encoder = PerPlane(
            {p: nn.Sequential(ClassLinear(given, hit, classes), nn.Tanh()) for p in planes}
        )
        wide = hit + given
        self.plane_net = PerPlane({p: MessagePassing(wide, wide, hit, classes) for p in planes})
        self.nexus_net = NexusNet(arch)
        self.semantic_decoder = PerPlane({p: ClassLinear(hit, 1, classes) for p in planes})
        self.filter_decoder = PerPlane(
            {p: nn.Sequential(nn.Linear(classes * hit, 1), nn.Sigmoid()) for p in planes}
        )

    def forward(self, batch: Mapping[str, Tensor], num_events: int) -> dict[str, Tensor]:
        """Label a block-diagonal batch of events.

        Args:
            batch: the tensors of :data:`naiad.applications.nugraph.schema.SAMPLE`, merged: per
                plane p ``x_p`` float32 ``[hits_p, 4]``, ``plane_edge_p`` and ``nexus_edge_p`` int64
                ``[2, edges]``, and ``sp_event`` int64 ``[spacepoints]``.
            num_events: number of merged events, which changes nothing: no node stands for an event.

        Returns:
            ``x_semantic_p`` ``[hits_p, 5]`` (scores) and ``x_filter_p`` ``[hits_p]`` (probability).
        """
        planes, classes = self.arch.planes, self.arch.semantic_classes
        given = {p: self.normalised(batch, p)[:, None].expand(-1, classes, -1) for p in planes}
        plane_edges = {p: batch[f"plane_edge_{p}"] for p in planes}
        nexus_edges = {p: batch[f"nexus_edge_{p}"] for p in planes}
        hits = {p: self.encoder[p](x) for p, x in given.items()}
        for _ in range(self.arch.num_iters):
            for p, state in hits.items():
                x = torch.cat((state, given[p]), dim=2)
                hits[p] = self.plane_net[p](x, x, *plane_edges[p])
            hits = self.nexus_net(hits, nexus_edges, len(batch["sp_event"]))
        semantic, filters = self.semantic_decoder, self.filter_decoder
        return {
            **{f"x_semantic_{p}": semantic[p](x).squeeze(2) for p, x in hits.items()},
            **{f"x_filter_{p}": filters[p](x.flatten(1)).squeeze(1) for p, x in hits.items()},
        }
