"""The NuGraph3 network rearranged for inference: the same function as ``NuGraph3Net``, faster.

:func:`fastest` picks the form to serve; this one is torch, for GPUs and where there is no Numba.

What differs from :mod:`naiad.pipelines.nugraph3.model`, none of it in the result:

* the three planes are one table of hits: small events pay one call per operation, not three;
* what is linear is computed per node and gathered per edge, and products that share their input
  share one call; the original's ``[edges, source + target]`` tables never exist;
* sums over the edges of a node read them in order, which is why edges are sorted by target;
* hits are worked on in tiles, whose temporaries stay in the processor's cache;
* softmax is taken without subtracting the maximum first. Mish is bounded below and the features
  of sensible events are small, so nothing is lost; where an exponential overflows after all, the
  features are NaN from there on, and everything is computed again with the subtraction.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

import torch
from torch import Tensor, nn

from naiad.pipelines.nugraph3.layout import Edges, Graph, lay_out
from naiad.pipelines.nugraph3.model import Block, NuGraph3Net, segment_max

Forward: TypeAlias = "Callable[[Mapping[str, Tensor], int], dict[str, Tensor]]"
"""Labels a block-diagonal batch of so many events, as :meth:`NuGraph3Net.forward` does."""

TILE_ROWS = 512
"""Hits worked on at a time on a CPU."""

_log = logging.getLogger(__name__)

_SAFE_EXPONENT = 60.0
"""exp(±60), and sums of millions of them, are far from the limits of float32."""

_SMALLEST = 1e-37
"""Divides the sums of nodes without edges, which are 0; every other sum is far above."""

# A tensor, because adding a Python number costs as much again as the addition.
_ONE = torch.ones(())


@dataclass(frozen=True, slots=True)
class _Linear:
    """``x @ weight + bias``; weight is ``[in, out]`` and contiguous, a quarter faster."""

    weight: Tensor
    bias: Tensor

    @classmethod
    def of(cls, *parts: tuple[Tensor, Tensor]) -> _Linear:
        """One product in place of several with the same input: ``[out, in]`` weight, bias."""
        weights, biases = zip(*parts, strict=True)
        return cls(torch.cat(weights).t().contiguous(), torch.cat(biases))

    def __call__(self, x: Tensor, out: Tensor | None = None) -> Tensor:
        return torch.addmm(self.bias, x, self.weight, out=out)


@dataclass(frozen=True, slots=True)
class _Parts:
    """The weights of a block, cut at the border between source and target features."""

    message: Tensor  # of the first layer, [out, source]
    target: tuple[Tensor, Tensor]  # of the first layer, [out, target], with its bias
    second: tuple[Tensor, Tensor]
    gate_source: Tensor  # [1, source]
    gate_target: Tensor  # [1, target]
    gate_bias: Tensor

    @classmethod
    def of(cls, block: Block) -> _Parts:
        message, target = block.first.weight.split((block.source, block.target), dim=1)
        gate_target, gate_source = block.gate.weight.split((block.target, block.source), dim=1)
        return cls(
            message,
            (target, block.first.bias),
            _parameters(block.second),
            gate_source,
            gate_target,
            block.gate.bias,
        )

    def update(self) -> _Update:
        return _Update(
            self.message.t().contiguous(), _Linear.of(self.target), _Linear.of(self.second)
        )


@dataclass(frozen=True, slots=True)
class _Update:
    """The two-layer network of a block, its first layer in two parts."""

    message: Tensor
    target: _Linear
    second: _Linear

    def first(self, message: Tensor, target: Tensor, out: Tensor | None = None) -> Tensor:
        return self.target(target, out=out).addmm_(message, self.message)

    def __call__(self, message: Tensor, target: Tensor) -> Tensor:
        return _mish_(self.second(_mish_(self.first(message, target))))


def fastest(net: NuGraph3Net) -> Forward:
    """The fastest form of ``net`` on the device where its weights are.

    On a CPU, one compiled function, twice as fast as torch; its first start on a machine compiles
    for some 15 s, every other one loads it in 0.3 s. Where there is no Numba, or it fails, and on
    a GPU, :class:`FusedNuGraph3`.
    """
    if net.encoder.lins[net.arch.planes[0]].weight.device.type == "cpu":
        try:
            from naiad.pipelines.nugraph3.compiled import CompiledNuGraph3

            return CompiledNuGraph3(net)
        except ImportError as error:
            _log.warning("NuGraph3 runs on torch alone, at half the speed: %s", error)
        except Exception:
            # Whatever the compiler does not like of this machine, torch will do.
            _log.warning("NuGraph3 runs on torch alone, at half the speed", exc_info=True)
    return FusedNuGraph3(net)


class FusedNuGraph3:
    """``NuGraph3Net`` for inference, on the device its weights are on.

    The weights are copied: later changes to the network have no effect here.
    """

    @torch.inference_mode()
    def __init__(self, net: NuGraph3Net) -> None:
        """Rearrange the weights of ``net``."""
        self.arch = net.arch
        core, planes = net.core_net, net.arch.planes
        plane = [_Parts.of(block) for block in core.plane_net]
        inward = [_Parts.of(block) for block in core.plane_to_nexus]
        (gather,) = (_Parts.of(block) for block in core.nexus_to_interaction)
        (spread,) = (_Parts.of(block) for block in core.interaction_to_nexus)
        outward = [_Parts.of(block) for block in core.nexus_to_plane]
        no_bias = torch.zeros_like(gather.gate_bias)

        self._normalisation = [tuple(v.clone() for v in net.normalisation(p)) for p in planes]
        self._encoder = [_Linear.of(_parameters(net.encoder.lins[p])) for p in planes]
        # From hits before step 1: their gates as target and as source of a plane edge.
        self._plane_gates = _Linear.of(
            *(
                part
                for b in plane
                for part in ((b.gate_target, b.gate_bias), (b.gate_source, no_bias))
            )
        )
        self._plane_update = [b.update() for b in plane]
        # From hits after step 1: messages of step 2; gates of steps 2 and 5.
        self._to_nexus = [b.message.t().contiguous() for b in inward]
        self._hit_gates = _Linear.of(
            *(
                part
                for b, c in zip(inward, outward, strict=True)
                for part in ((b.gate_source, b.gate_bias), (c.gate_target, c.gate_bias))
            )
        )
        # From spacepoints: first layer of step 2; gates of steps 2 and 5.
        self._nexus = _Linear.of(
            *(b.target for b in inward),
            *((b.gate_target, no_bias) for b in inward),
            *((b.gate_source, no_bias) for b in outward),
        )
        weights, biases = zip(*(b.second for b in inward), strict=True)
        self._nexus_second = _Linear.of((torch.block_diag(*weights), torch.cat(biases)))
        # From spacepoints after step 2: first layer of step 4; gates of steps 3 and 4.
        self._wide = _Linear.of(
            spread.target,
            (gather.gate_source, gather.gate_bias),
            (spread.gate_target, spread.gate_bias),
        )
        self._event_gate = gather.gate_target.flatten().clone()
        self._event_update = gather.update()
        # From events: messages of step 4 and their gate.
        self._from_event = spread.message.t().contiguous()
        self._from_event_gate = spread.gate_source.flatten().clone()
        self._nexus_narrow = _Linear.of(spread.second)
        self._outward_update = [b.update() for b in outward]

        self._event_class = _Linear.of(_parameters(net.event_decoder.net))
        self._vertex = _Linear.of(_parameters(net.vertex_decoder.net))
        self._semantic = [_Linear.of(_parameters(net.semantic_decoder[p])) for p in planes]
        self._filter = [
            _Linear.of(_parameters(cast(nn.Sequential, net.filter_decoder[p])[0])) for p in planes
        ]

    @torch.inference_mode()
    def __call__(self, batch: Mapping[str, Tensor], num_events: int) -> dict[str, Tensor]:
        """Label a block-diagonal batch of events, as :meth:`NuGraph3Net.forward` does.

        Plane edges must be sorted by target and ``sp_event`` by event, and a spacepoint must have
        at most one edge per plane, as :func:`naiad.pipelines.nugraph3.prepare.prepare` makes them.
        """
        tile = TILE_ROWS if batch["sp_event"].device.type == "cpu" else None
        graph = lay_out(batch, self.arch.planes, num_events, tile)
        encoded = torch.cat(
            [
                encode((batch[f"x_{plane}"] - mean).div_(std))
                for plane, encode, (mean, std) in zip(
                    self.arch.planes, self._encoder, self._normalisation, strict=True
                )
            ]
        )
        hits, event = self._iterate(graph, encoded, num_events, stable=False)
        if not torch.isfinite(hits.sum() + event.sum()):
            hits, event = self._iterate(graph, encoded, num_events, stable=True)
        return self._decode(graph, hits, event)

    def _iterate(
        self, graph: Graph, hits: Tensor, num_events: int, *, stable: bool
    ) -> tuple[Tensor, Tensor]:
        planes, narrow = len(self.arch.planes), self.arch.nexus_features
        wide = planes * narrow
        event = hits.new_zeros(num_events, self.arch.interaction_features)
        nexus = self._nexus.bias.expand(len(graph.event), -1)  # of spacepoints that are all 0
        # Only the encoder's output has no lower bound; below it the sums of exponentials vanish.
        shift = stable or (len(hits) > 0 and bool(hits.abs().amax() > _SAFE_EXPONENT))
        for _ in range(self.arch.num_iters):
            # 1. Hits from their neighbours on the plane.
            gates = self._plane_gates(hits).flatten()
            gate = _gate(gates, graph.target_gate, gates, graph.source_gate)
            edges = [tile.plane_edges for tile in graph.tiles]
            hits = _update_hits(graph, self._plane_update, hits, hits, edges, gate, shift)
            shift = stable
            # 2. Spacepoints from their hits, one per plane.
            gates = hits.new_zeros(len(hits) + 1, 2 * planes)
            self._hit_gates(hits, out=gates[:-1])
            gates = gates.flatten()
            gate = _gate(gates, graph.hit_of_gate, nexus[:, wide : wide + planes].flatten())
            hidden = _gather(self._messages(graph, hits), graph.hit_of, gate).view(-1, wide)
            spacepoints = _mish_(self._nexus_second(_mish_(hidden.add_(nexus[:, :wide]))))
            # 3. The event from its spacepoints.
            scores = self._wide(spacepoints)
            gate = _gate(event @ self._event_gate, graph.event, scores[:, narrow])
            mean = _softmax_mean(spacepoints * gate[:, None], graph.event_edges, stable)
            event = self._event_update(mean, event)
            # 4. Spacepoints from their event.
            gate = _gate(event @ self._from_event_gate, graph.event, scores[:, narrow + 1])
            hidden = _gather(event @ self._from_event, graph.event, gate)
            spacepoints = _mish_(self._nexus_narrow(_mish_(hidden.add_(scores[:, :narrow]))))
            # 5. Hits from their spacepoints.
            nexus = self._nexus(spacepoints)
            from_nexus = nexus[:, wide + planes :].flatten()
            gate = _gate(gates, graph.hit_gate, from_nexus, graph.slot)
            edges = [tile.nexus_edges for tile in graph.tiles]
            hits = _update_hits(graph, self._outward_update, hits, spacepoints, edges, gate, stable)
        return hits, event

    def _messages(self, graph: Graph, hits: Tensor) -> Tensor:
        """What hits send to their spacepoints, and a row of zeros from no hit."""
        out = hits.new_zeros(len(hits) + 1, self.arch.nexus_features)
        rows = zip(hits.split(graph.sizes), out[:-1].split(graph.sizes), strict=True)
        for weight, (x, y) in zip(self._to_nexus, rows, strict=True):
            torch.mm(x, weight, out=y)
        return out

    def _decode(self, graph: Graph, hits: Tensor, event: Tensor) -> dict[str, Tensor]:
        planes = self.arch.planes
        parts = hits.split(graph.sizes)
        semantic = {p: head(x) for p, head, x in zip(planes, self._semantic, parts, strict=True)}
        signal = {p: head(x) for p, head, x in zip(planes, self._filter, parts, strict=True)}
        return {
            "e_evt": self._event_class(event),
            **{f"x_semantic_{p}": score for p, score in semantic.items()},
            **{f"x_filter_{p}": score.sigmoid_()[:, 0] for p, score in signal.items()},
            "v_evt": self._vertex(event),
        }


def _parameters(layer: nn.Module) -> tuple[Tensor, Tensor]:
    linear = cast(nn.Linear, layer)
    return linear.weight, linear.bias


def _gate(a: Tensor, index_a: Tensor, b: Tensor, index_b: Tensor | None = None) -> Tensor:
    """``sigmoid(a[index_a] + b[index_b])``, one number per edge."""
    return (
        a.index_select(0, index_a)
        .add_(b if index_b is None else b.index_select(0, index_b))
        .sigmoid_()
    )


def _gather(features: Tensor, source: Tensor, gate: Tensor, count: Tensor | None = None) -> Tensor:
    """``features[source] * gate``: a bag of one weighted row per edge, a third faster than both."""
    if count is None:
        count = torch.arange(len(source) + 1, device=source.device)
    return torch.embedding_bag(features, source, count, False, 0, False, gate, True)[0]


def _segment_sum(values: Tensor, edges: Edges) -> Tensor:
    """Sums of the rows between each pointer and the next, twice as fast as ``index_add``."""
    rows = edges.count[:-1]
    return torch.embedding_bag(values, rows, edges.pointer, False, 0, False, None, True)[0]


def _softmax_mean(messages: Tensor, edges: Edges, stable: bool) -> Tensor:
    """Mean of each node's messages, weighted per channel by their softmax; overwrites messages."""
    if stable:
        target = torch.repeat_interleave(edges.pointer.diff())
        top = segment_max(messages, target, len(edges.pointer) - 1)
        weights = messages.sub(top.index_select(0, target)).exp_()
    else:
        weights = messages.exp()
    total = _segment_sum(weights, edges)
    return _segment_sum(messages.mul_(weights), edges).div_(total.clamp_min_(_SMALLEST))


def _update_hits(
    graph: Graph,
    updates: Sequence[_Update],
    hits: Tensor,
    source: Tensor,
    edges: Sequence[Edges],
    gate: Tensor,
    stable: bool,
) -> Tensor:
    """New features of all hits from the edges of each tile, whose sources are rows of source."""
    new = torch.empty_like(hits)
    for tile, incoming in zip(graph.tiles, edges, strict=True):
        messages = _gather(source, incoming.source, gate[incoming.span], incoming.count)
        mean = _softmax_mean(messages, incoming, stable)
        old, out = hits[tile.rows], new[tile.rows]
        hidden = torch.empty_like(old)
        own = [updates[plane] for plane in tile.planes]
        layers = hidden.split(tile.sizes)
        for update, m, t, h in zip(
            own, mean.split(tile.sizes), old.split(tile.sizes), layers, strict=True
        ):
            update.first(m, t, out=h)
        _mish_(hidden)
        for update, h, y in zip(own, layers, out.split(tile.sizes), strict=True):
            update.second(h, out=y)
        _mish_(out)
    return new


def _mish_(x: Tensor) -> Tensor:
    """``x * tanh(softplus(x))`` in place, as ``x - 2x / ((1 + exp(x))² + 1)``.

    One exponential and five passes over memory in place of torch's two and a logarithm. Where the
    exponential overflows, the quotient is 0 and the result x, as it should be.
    """
    return x.addcdiv_(x, x.exp().add_(_ONE).square_().add_(_ONE), value=-2)
