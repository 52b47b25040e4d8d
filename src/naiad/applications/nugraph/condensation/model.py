"""The NuGraph3 network with object condensation in plain torch, by the original's parameter names.

Since 2026 NuGraph3 has one hit table, and one set of weights, for all wire planes, and normalises
its input itself. Messages pass from hits to spacepoints ("nexus") to the event ("interaction") and
back, ``num_iters`` times with the same weights. Along the way each hit moves in a space of a few
dimensions, its condensation coordinates, so that hits of one particle end close together
(arXiv:2002.03605). :mod:`naiad.applications.nugraph.condensation.instances` finds them there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import cast

from naiad.applications.nugraph.condensation.card import EPSILON, Architecture
from naiad.applications.nugraph.model import Block
from naiad.applications.nugraph.schema import PLANES
from naiad.errors import MissingExtra

try:
    import torch
    from torch import Tensor, nn
except ImportError as error:
    raise MissingExtra("nugraph3-train", error.name or "torch") from error


class Encoder(nn.Module):
    """The first layers: of the hits' features, of their scores and of their coordinates."""

    def __init__(self, arch: Architecture) -> None:
        """Make the layers."""
        super().__init__()
        features = arch.in_features
        self.planar_net = nn.Linear(features, arch.hit_features)
        self.beta_net = nn.Sequential(nn.Linear(features, 1), nn.Sigmoid())
        self.coord_net = nn.Sequential(nn.Linear(features, arch.instance_features), nn.Mish())


class Core(nn.Module):
    """One iteration through the hierarchy: hits, spacepoints, event, and down again."""

    def __init__(self, arch: Architecture) -> None:
        """Make the blocks of all five relations, and the networks of the condensation."""
        super().__init__()
        hit, nexus, event = arch.hit_features, arch.nexus_features, arch.interaction_features
        self.plane_net = Block(hit, hit, hit)
        self.plane_to_nexus = Block(hit, nexus, nexus)
        self.nexus_to_interaction = Block(nexus, event, event)
        self.interaction_to_nexus = Block(event, nexus, nexus, single=True)
        self.nexus_to_plane = Block(nexus, hit, hit)
        wide = 3 * hit
        self.beta_net = _layers(hit + 1, wide, wide, 1)
        self.coord_net = _layers(hit + arch.instance_features, wide, wide, arch.instance_features)

    def forward(
        self,
        hits: Tensor,
        nexus: Tensor,
        event: Tensor,
        plane_edge: Tensor,
        nexus_edge: Tensor,
        sp_event: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return new features of hits, spacepoints and events."""
        each = torch.arange(len(sp_event), device=sp_event.device)
        hits = self.plane_net(hits, hits, *plane_edge)
        nexus = self.plane_to_nexus(hits, nexus, *nexus_edge)
        event = self.nexus_to_interaction(nexus, event, each, sp_event)
        nexus = self.interaction_to_nexus(event, nexus, sp_event, each)
        hits = self.nexus_to_plane(nexus, hits, *nexus_edge.flip(0))
        return hits, nexus, event

    def condense(self, score: Tensor, place: Tensor, hits: Tensor) -> tuple[Tensor, Tensor]:
        """Return new scores ``[hits, 1]`` and coordinates ``[hits, C]`` of the hits."""
        score = torch.sigmoid(self.beta_net(torch.cat((score, hits), dim=1)))
        return score, self.coord_net(torch.cat((place, hits), dim=1))


class Head(nn.Module):
    """A head of the network; ``net`` is its layer, or one layer per plane."""

    def __init__(self, net: nn.Module) -> None:
        """Hold ``net``."""
        super().__init__()
        self.net = net


class InstanceHead(nn.Module):
    """The head of the condensation."""

    def __init__(self, hit: int, places: int) -> None:
        """Make the networks of scores and of coordinates."""
        super().__init__()
        self.beta_net = _layers(hit + 1, hit, 1)
        self.coord_net = _layers(hit + places, hit, places)

    def forward(self, score: Tensor, place: Tensor, hits: Tensor) -> tuple[Tensor, Tensor]:
        """Return the scores ``[hits]`` and coordinates ``[hits, C]``.

        Unlike in :meth:`Core.condense`, a hit's features come before its score and its coordinates.
        """
        beta = self.beta_net(torch.cat((hits, score), dim=1))
        return torch.sigmoid(beta).squeeze(1), self.coord_net(torch.cat((hits, place), dim=1))


class CondensationNet(nn.Module):
    """NuGraph3 with object condensation: event, vertex, and class and particle of each hit.

    The buffers ``mean`` and ``var`` normalise the features of hits; they belong to the card, not to
    the state dict. :meth:`set_normalisation` sets them.
    """

    def __init__(self, arch: Architecture, heads: Sequence[str]) -> None:
        """Make an untrained network that does not yet normalise its input.

        Args:
            arch: its sizes.
            heads: its heads, of :data:`naiad.applications.nugraph.condensation.card.HEADS`.
        """
        super().__init__()
        self.arch, self.heads = arch, tuple(heads)
        self.encoder = Encoder(arch)
        self.core_net = Core(arch)
        hit, event = arch.hit_features, arch.interaction_features
        layers: dict[str, Callable[[], nn.Module]] = {
            "event": lambda: Head(nn.Linear(event, arch.event_classes)),
            "semantic": lambda: Head(nn.Linear(hit, arch.semantic_classes)),
            "filter": lambda: Head(nn.Linear(hit, 1)),
            "vertex": lambda: Head(nn.Linear(event, 3)),
            "instance": lambda: InstanceHead(hit, arch.instance_features),
            "spacepoint": lambda: Head(nn.ModuleList(nn.Linear(hit, 3) for _ in PLANES)),
        }
        for head in self.heads:
            self.add_module(f"{head}_decoder", layers[head]())
        self.register_buffer("mean", torch.zeros(arch.in_features), persistent=False)
        self.register_buffer("var", torch.ones(arch.in_features), persistent=False)

    def set_normalisation(self, mean: Sequence[float], var: Sequence[float]) -> None:
        """Use these means and variances of a hit's features."""
        for name, values in (("mean", mean), ("var", var)):
            self.get_buffer(name).copy_(torch.tensor(values))

    def forward(self, batch: Mapping[str, Tensor], num_events: int) -> dict[str, Tensor]:
        """Reconstruct a block-diagonal batch of events.

        Args:
            batch: the tensors of :func:`naiad.applications.nugraph.condensation.schema.sample`,
                merged: ``x`` float32 ``[hits, F]``, ``hit_plane`` int64 ``[hits]``, ``plane_edge``
                and ``nexus_edge`` int64 ``[2, edges]``, ``sp_event`` int64 ``[spacepoints]``.
            num_events: number of merged events.

        Returns:
            Of each head that there is: ``e_evt`` ``[events, E]`` and ``x_semantic`` ``[hits, S]``
            (logits), ``x_filter`` ``[hits]`` (probability), ``v_evt`` ``[events, 3]`` (cm), ``of``
            ``[hits]`` and ``ox`` ``[hits, C]``, ``x_position`` ``[hits, 3]`` (cm).
        """
        arch, encoder, core = self.arch, self.encoder, self.core_net
        mean, var = self.get_buffer("mean"), self.get_buffer("var")
        x = (batch["x"] - mean) / torch.sqrt(var + EPSILON)
        hits = encoder.planar_net(x)
        nexus = x.new_zeros(len(batch["sp_event"]), arch.nexus_features)
        event = x.new_zeros(num_events, arch.interaction_features)
        condensing = "instance" in self.heads
        score, place = (encoder.beta_net(x), encoder.coord_net(x)) if condensing else (x, x)
        relations = (batch["plane_edge"], batch["nexus_edge"], batch["sp_event"])
        for _ in range(arch.num_iters):
            hits, nexus, event = core(hits, nexus, event, *relations)
            if condensing:  # nothing else reads the scores and coordinates
                score, place = core.condense(score, place, hits)

        found: dict[str, Tensor] = {}
        if "event" in self.heads:
            found["e_evt"] = self._net("event")(event)
        if "semantic" in self.heads:
            found["x_semantic"] = self._net("semantic")(hits)
        if "filter" in self.heads:
            found["x_filter"] = torch.sigmoid(self._net("filter")(hits)).squeeze(1)
        if "vertex" in self.heads:
            found["v_evt"] = self._net("vertex")(event)
        if condensing:
            found["of"], found["ox"] = self.get_submodule("instance_decoder")(score, place, hits)
        if "spacepoint" in self.heads:
            found["x_position"] = self._positions(hits, batch["hit_plane"])
        return found

    def _net(self, head: str) -> nn.Module:
        return cast(Head, self.get_submodule(f"{head}_decoder")).net

    def _positions(self, hits: Tensor, plane: Tensor) -> Tensor:
        positions = hits.new_zeros(len(hits), 3)
        for number, net in enumerate(cast(nn.ModuleList, self._net("spacepoint"))):
            rows = torch.nonzero(plane == number).squeeze(1)
            positions = positions.index_copy(0, rows, net(hits.index_select(0, rows)))
        return positions


def _layers(*sizes: int) -> nn.Sequential:
    """Return linear layers of these sizes, with Mish between them."""
    layers: list[nn.Module] = []
    for number, (size, out) in enumerate(pairwise(sizes)):
        layers += [nn.Mish()] * bool(number)
        layers.append(nn.Linear(size, out))
    return nn.Sequential(*layers)
