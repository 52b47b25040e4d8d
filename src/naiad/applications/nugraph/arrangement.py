"""The weights of NuGraph3 in the order that the compiled network reads (`cpp/nugraph3.h`).

Features are padded with zeros to a multiple of 16, so that rows are whole vectors; the answer is
the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from naiad.applications.nugraph.card import Architecture

Floats = NDArray[np.float32]

_VECTOR = 16


def padded(features: int) -> int:
    """Return the number of features of a row, padding included."""
    return -(-features // _VECTOR) * _VECTOR


def parameter_shapes(arch: Architecture) -> dict[str, tuple[int, ...]]:
    """Return the shape of each parameter of the network, by the original checkpoint's names."""
    hit, nexus, event = arch.planar_features, arch.nexus_features, arch.interaction_features
    wide = nexus * len(arch.planes)
    layers: dict[str, tuple[int, int]] = {}  # out, in

    def block(name: str, source: int, target: int, out: int) -> None:
        layers[f"core_net.{name}.edge_net.0"] = 1, source + target
        layers[f"core_net.{name}.net.0"] = out, source + target
        layers[f"core_net.{name}.net.2"] = out, out

    for p in arch.planes:
        layers[f"encoder.lins.{p}"] = hit, arch.in_features
        block(f"plane_net.convs.<{p}___plane___{p}>", hit, hit, hit)
        block(f"plane_to_nexus.convs.<{p}___nexus___sp>", hit, nexus, nexus)
        block(f"nexus_to_plane.convs.<sp___nexus___{p}>", nexus, hit, hit)
        layers[f"semantic_decoder.net.{p}"] = arch.semantic_classes, hit
        layers[f"filter_decoder.net.{p}.0"] = 1, hit
    block("nexus_to_interaction.convs.<sp___in___evt>", wide, event, event)
    block("interaction_to_nexus.convs.<evt___owns___sp>", event, wide, nexus)
    layers["event_decoder.net"] = arch.event_classes, event
    layers["vertex_decoder.net"] = 3, event
    shapes: dict[str, tuple[int, ...]] = {f"{name}.weight": size for name, size in layers.items()}
    return shapes | {f"{name}.bias": (out,) for name, (out, _) in layers.items()}


def arrange(
    arch: Architecture,
    state: Mapping[str, Floats],
    mean: Mapping[str, Sequence[float]],
    std: Mapping[str, Sequence[float]],
) -> Floats:
    """Arrange all weights in one row, float32.

    Args:
        arch: the sizes of the network.
        state: its parameters, of :func:`parameter_shapes`.
        mean: of each plane's features.
        std: of each plane's features.
    """
    hit, nexus, event = arch.planar_features, arch.nexus_features, arch.interaction_features
    wide = [nexus] * len(arch.planes)
    planes = [
        (
            ArrangedBlock.of(state, f"plane_net.convs.<{p}___plane___{p}>", [hit], [hit]),
            ArrangedBlock.of(state, f"plane_to_nexus.convs.<{p}___nexus___sp>", [hit], [nexus]),
            ArrangedBlock.of(state, f"nexus_to_plane.convs.<sp___nexus___{p}>", [nexus], [hit]),
        )
        for p in arch.planes
    ]
    gather = ArrangedBlock.of(state, "nexus_to_interaction.convs.<sp___in___evt>", wide, [event])
    spread = ArrangedBlock.of(state, "interaction_to_nexus.convs.<evt___owns___sp>", [event], wide)

    def parts() -> Iterator[Floats]:
        for name, (plane, inward, outward) in zip(arch.planes, planes, strict=True):
            encoder = f"encoder.lins.{name}"
            yield from (np.array(values[name], np.float32) for values in (mean, std))
            yield fill(state[f"{encoder}.weight"].T, 1)
            yield fill(state[f"{encoder}.bias"], 0)
            yield from (plane.gate_of_target, plane.gate_of_source, plane.gate_bias)
            yield from plane.network()
            yield inward.message
            yield from (inward.gate_of_source, outward.gate_of_target)
            yield from (inward.gate_bias, outward.gate_bias)
            yield from (inward.first_bias, inward.second, inward.second_bias)
            yield from outward.network()
            yield from joined_heads(
                state, f"semantic_decoder.net.{name}", f"filter_decoder.net.{name}.0"
            )
        inward, outward = ([blocks[i] for blocks in planes] for i in (1, 2))
        yield _side_by_side(
            *(block.own for block in inward),
            *(block.gate_of_target for block in inward),
            *(block.gate_of_source for block in outward),
        )
        yield _side_by_side(spread.own, gather.gate_of_source, spread.gate_of_target)
        yield from (gather.gate_of_target, spread.gate_of_source)
        yield from (gather.gate_bias, spread.gate_bias)
        yield from gather.network()
        yield spread.message
        yield from (spread.first_bias, spread.second, spread.second_bias)
        yield from joined_heads(state, "event_decoder.net", "vertex_decoder.net")

    return np.concatenate([part.ravel() for part in parts()], dtype=np.float32)


@dataclass(frozen=True, slots=True)
class ArrangedBlock:
    """The weights of a block, split between source and target features; ``[in, out]``."""

    message: Floats  # of the first layer, [source, out]
    own: Floats  # of the first layer, [target, out]
    first_bias: Floats
    second: Floats
    second_bias: Floats
    gate_of_source: Floats
    gate_of_target: Floats
    gate_bias: Floats

    @classmethod
    def of(
        cls, state: Mapping[str, Floats], name: str, source: list[int], target: list[int]
    ) -> ArrangedBlock:
        """Read a block; ``source`` and ``target`` are the sizes of their features' parts."""
        at = f"core_net.{name}"
        first = fill(state[f"{at}.net.0.weight"].T, 1)
        gate = state[f"{at}.edge_net.0.weight"][0]
        border, gate_border = sum(source), sum(target)
        return cls(
            message=fill_parts(first[:border], source),
            own=fill_parts(first[border:], target),
            first_bias=fill(state[f"{at}.net.0.bias"], 0),
            second=fill(fill(state[f"{at}.net.2.weight"].T, 0), 1),
            second_bias=fill(state[f"{at}.net.2.bias"], 0),
            gate_of_source=fill_parts(gate[gate_border:], source),
            gate_of_target=fill_parts(gate[:gate_border], target),
            gate_bias=state[f"{at}.edge_net.0.bias"],
        )

    def network(self) -> Iterator[Floats]:
        """Yield both layers; the first has the message's features before the target's own."""
        yield np.concatenate((self.message, self.own))
        yield from (self.first_bias, self.second, self.second_bias)


def joined_heads(state: Mapping[str, Floats], *names: str) -> Iterator[Floats]:
    """Yield weights and bias of one layer that joins layers with the same input."""
    weight = np.concatenate([state[f"{name}.weight"] for name in names]).T
    yield fill(fill(weight, 0), 1)
    yield fill(np.concatenate([state[f"{name}.bias"] for name in names]), 0)


def _side_by_side(*columns: Floats) -> Floats:
    """Join matrices and single columns into one matrix."""
    return fill(np.concatenate([c.reshape(len(c), -1) for c in columns], axis=1), 1)


def fill_parts(values: Floats, sizes: list[int]) -> Floats:
    """Pad each part of the rows."""
    parts = np.split(values, np.cumsum(sizes)[:-1])
    return np.concatenate([fill(part, 0) for part in parts])


def fill(values: Floats, axis: int) -> Floats:
    """Pad with zeros along an axis."""
    widths = [(0, 0)] * values.ndim
    widths[axis] = (0, padded(values.shape[axis]) - values.shape[axis])
    return np.pad(values, widths)
