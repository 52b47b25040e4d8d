"""The weights of NuGraph3, arranged as the compiled function reads them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from naiad.pipelines.nugraph3.model import Block, NuGraph3Net
from naiad.pipelines.nugraph3.products import pack

Floats = NDArray[np.float32]


class Weights(NamedTuple):
    """The network's weights as the kernel reads them: float32, C-contiguous.

    P planes; F, N, I features of hits, spacepoints and events. Matrices, here ``[in, out]``, are
    as :func:`naiad.pipelines.nugraph3.products.pack` puts them.
    """

    mean: Floats  # [P, features], as std
    std: Floats
    encode: Floats  # [P, features, F]
    encode_bias: Floats  # [P, F]
    plane_gate: Floats  # [P, 2, F]: of target, of source
    plane_gate_bias: Floats  # [P, 1]
    plane_first: Floats  # [P, F + F, F]: message, own
    plane_first_bias: Floats  # [P, F], as the next bias
    plane_second: Floats  # [P, F, F]
    plane_second_bias: Floats
    message: Floats  # [P, F, N]: first layer of hits to spacepoints
    hit_gate: Floats  # [P, 2, F]: of source of step 2, of target of step 5
    hit_gate_bias: Floats  # [P, 2]
    nexus: Floats  # [N, P N + 2 P]: first layers of step 2; gates of steps 2 and 5
    inward_first_bias: Floats  # [P, N], as the next bias
    inward_second: Floats  # [P, N, N]
    inward_second_bias: Floats
    wide: Floats  # [P N, N + 2]: first layer of step 4; gates of steps 3 and 4
    event_gate: Floats  # [2, I]: of target of step 3, of source of step 4
    event_gate_bias: Floats  # [1, 2]
    event_first: Floats  # [P N + I, I]
    event_first_bias: Floats  # [1, I], as the next bias
    event_second: Floats  # [I, I]
    event_second_bias: Floats
    from_event: Floats  # [I, N]: first layer of events to spacepoints
    spread_first_bias: Floats  # [1, N], as the next bias
    spread_second: Floats  # [N, N]
    spread_second_bias: Floats
    outward_first: Floats  # [P, N + F, F]
    outward_first_bias: Floats  # [P, F], as the next bias
    outward_second: Floats  # [P, F, F]
    outward_second_bias: Floats
    hit_head: Floats  # [P, F, classes + 1]: semantic scores, filter
    hit_head_bias: Floats  # [P, classes + 1]
    event_head: Floats  # [I, classes + 3]: event scores, vertex
    event_head_bias: Floats  # [1, classes + 3]


@torch.inference_mode()
def arrange(net: NuGraph3Net) -> Weights:
    """Copy the weights of ``net``, whose gates and first layers are cut at the border between
    source and target features: what is linear is computed per node and not per edge.
    """
    core, planes = net.core_net, net.arch.planes
    plane, inward = list(core.plane_net), list(core.plane_to_nexus)
    outward = list(core.nexus_to_plane)
    (gather,), (spread,) = core.nexus_to_interaction, core.interaction_to_nexus
    encoders = [cast(nn.Linear, net.encoder.lins[p]) for p in planes]
    filters = [cast(nn.Sequential, net.filter_decoder[p])[0] for p in planes]
    heads = [
        cast(list[nn.Linear], [net.semantic_decoder[p], head])
        for p, head in zip(planes, filters, strict=True)
    ]
    normalisation = [net.normalisation(p) for p in planes]
    answers = cast(list[nn.Linear], [net.event_decoder.net, net.vertex_decoder.net])
    return Weights(
        mean=_stack(mean for mean, _ in normalisation),
        std=_stack(std for _, std in normalisation),
        encode=_stack(e.weight.t() for e in encoders),
        encode_bias=_stack(e.bias for e in encoders),
        plane_gate=_stack(torch.cat(_gates(b)) for b in plane),
        plane_gate_bias=_stack(b.gate.bias for b in plane),
        plane_first=pack(_stack(b.first.weight.t() for b in plane)),
        plane_first_bias=_stack(b.first.bias for b in plane),
        plane_second=pack(_stack(b.second.weight.t() for b in plane)),
        plane_second_bias=_stack(b.second.bias for b in plane),
        message=pack(_stack(_message(b) for b in inward)),
        hit_gate=_stack(
            torch.cat((_gates(b)[1], _gates(c)[0])) for b, c in zip(inward, outward, strict=True)
        ),
        hit_gate_bias=_stack(
            torch.cat((b.gate.bias, c.gate.bias)) for b, c in zip(inward, outward, strict=True)
        ),
        nexus=_side_by_side(
            *(_own(b) for b in inward),
            *(_gates(b)[0].t() for b in inward),
            *(_gates(b)[1].t() for b in outward),
        ),
        inward_first_bias=_stack(b.first.bias for b in inward),
        inward_second=pack(_stack(b.second.weight.t() for b in inward)),
        inward_second_bias=_stack(b.second.bias for b in inward),
        wide=_side_by_side(_own(spread), _gates(gather)[1].t(), _gates(spread)[0].t()),
        event_gate=_array(torch.cat((_gates(gather)[0], _gates(spread)[1]))),
        event_gate_bias=_stack([torch.cat((gather.gate.bias, spread.gate.bias))]),
        event_first=pack(_array(gather.first.weight.t())),
        event_first_bias=_stack([gather.first.bias]),
        event_second=pack(_array(gather.second.weight.t())),
        event_second_bias=_stack([gather.second.bias]),
        from_event=pack(_array(_message(spread))),
        spread_first_bias=_stack([spread.first.bias]),
        spread_second=pack(_array(spread.second.weight.t())),
        spread_second_bias=_stack([spread.second.bias]),
        outward_first=pack(_stack(b.first.weight.t() for b in outward)),
        outward_first_bias=_stack(b.first.bias for b in outward),
        outward_second=pack(_stack(b.second.weight.t() for b in outward)),
        outward_second_bias=_stack(b.second.bias for b in outward),
        hit_head=pack(_stack(torch.cat([h.weight for h in pair]).t() for pair in heads)),
        hit_head_bias=_stack(torch.cat([h.bias for h in pair]) for pair in heads),
        event_head=pack(_array(torch.cat([a.weight for a in answers]).t())),
        event_head_bias=_stack([torch.cat([a.bias for a in answers])]),
    )


def _gates(block: Block) -> tuple[Tensor, Tensor]:
    """Weights of a block's gate for its target and its source, each ``[1, features]``."""
    target, source = block.gate.weight.split((block.target, block.source), dim=1)
    return target, source


def _message(block: Block) -> Tensor:
    """What the first layer does with messages, ``[source, out]``."""
    return block.first.weight[:, : block.source].t()


def _own(block: Block) -> Tensor:
    """What the first layer does with the target's own features, ``[target, out]``."""
    return block.first.weight[:, block.source :].t()


def _side_by_side(*parts: Tensor) -> Floats:
    """Matrices as one."""
    return pack(_array(torch.cat(parts, dim=1)))


def _stack(parts: Iterable[Tensor]) -> Floats:
    return _array(torch.stack(list(parts)))


def _array(values: Tensor) -> Floats:
    """A copy whose memory nothing else refers to."""
    return values.detach().clone(memory_format=torch.contiguous_format).numpy()
