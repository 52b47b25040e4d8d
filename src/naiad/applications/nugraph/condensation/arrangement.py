"""The weights of the network in the order that its compiled form reads (`cpp/condensation.h`).

Features are padded with zeros to a multiple of 16, so that rows are whole vectors; the answer is
the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from naiad.applications.nugraph.arrangement import (
    ArrangedBlock,
    fill,
    fill_parts,
    joined_heads,
)
from naiad.applications.nugraph.condensation.card import EPSILON, Architecture
from naiad.applications.nugraph.schema import PLANES

Floats = NDArray[np.float32]


def hit_heads(heads: Sequence[str]) -> list[str]:
    """Return the names of the layers whose input is the features of a hit, in order."""
    layers = {
        "semantic": ["semantic_decoder.net"],
        "filter": ["filter_decoder.net"],
        "spacepoint": [f"spacepoint_decoder.net.{number}" for number in range(len(PLANES))],
    }
    return [name for head in heads for name in layers.get(head, [])]


def event_heads(heads: Sequence[str]) -> list[str]:
    """Return the names of the layers of the heads of events."""
    return [f"{head}_decoder.net" for head in heads if head in ("event", "vertex")]


def parameter_shapes(arch: Architecture, heads: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Return the shape of each parameter of the network, by the original checkpoint's names."""
    hit, event = arch.hit_features, arch.interaction_features
    places, wide = arch.instance_features, 3 * arch.hit_features
    layers: dict[str, tuple[int, int]] = {  # out, in
        "encoder.planar_net": (hit, arch.in_features),
        "encoder.beta_net.0": (1, arch.in_features),
        "encoder.coord_net.0": (places, arch.in_features),
    }
    for name, (source, target, out) in _blocks(arch).items():
        layers[f"core_net.{name}.edge_net.0"] = 1, source + target
        layers[f"core_net.{name}.net.0"] = out, source + target
        layers[f"core_net.{name}.net.2"] = out, out
    for name, size in (("beta_net", 1), ("coord_net", places)):
        layers[f"core_net.{name}.0"] = wide, hit + size
        layers[f"core_net.{name}.2"] = wide, wide
        layers[f"core_net.{name}.4"] = size, wide
        if "instance" in heads:
            layers[f"instance_decoder.{name}.0"] = hit, hit + size
            layers[f"instance_decoder.{name}.2"] = size, hit
    sizes = {
        "event_decoder.net": (arch.event_classes, event),
        "semantic_decoder.net": (arch.semantic_classes, hit),
        "filter_decoder.net": (1, hit),
        "vertex_decoder.net": (3, event),
    }
    for name in (*hit_heads(heads), *event_heads(heads)):
        layers[name] = sizes.get(name, (3, hit))
    shapes: dict[str, tuple[int, ...]] = {f"{name}.weight": size for name, size in layers.items()}
    return shapes | {f"{name}.bias": (out,) for name, (out, _) in layers.items()}


def arrange(
    arch: Architecture,
    heads: Sequence[str],
    state: Mapping[str, Floats],
    mean: Sequence[float],
    var: Sequence[float],
) -> Floats:
    """Arrange all weights in one row, float32.

    Args:
        arch: the sizes of the network.
        heads: its heads.
        state: its parameters, of :func:`parameter_shapes`.
        mean: of each feature.
        var: of each feature.
    """
    hit, places = arch.hit_features, arch.instance_features
    deviation = np.sqrt(np.array(var, np.float32) + np.float32(EPSILON))

    def layer(name: str, *parts: int) -> Iterator[Floats]:
        yield fill(fill_parts(state[f"{name}.weight"].T, list(parts)), 1)
        yield fill(state[f"{name}.bias"], 0)

    def together(names: Sequence[str]) -> Iterator[Floats]:
        if names:
            yield from joined_heads(state, *names)

    def parts() -> Iterator[Floats]:
        yield fill(np.array(mean, np.float32), 0)
        padding = -len(deviation) % 16
        yield np.pad(deviation, (0, padding), constant_values=1)
        yield from layer("encoder.planar_net", arch.in_features)
        for name, (source, target, _) in _blocks(arch).items():
            block = ArrangedBlock.of(state, name, [source], [target])
            yield from (block.gate_of_target, block.gate_of_source, block.gate_bias)
            yield from block.network()
        if "instance" in heads:
            yield from layer("encoder.beta_net.0", arch.in_features)
            yield from layer("encoder.coord_net.0", arch.in_features)
            for name, size in (("beta_net", 1), ("coord_net", places)):
                yield from layer(f"core_net.{name}.0", size, hit)
                yield from layer(f"core_net.{name}.2", 3 * hit)
                yield from layer(f"core_net.{name}.4", 3 * hit)
            for name, size in (("beta_net", 1), ("coord_net", places)):
                yield from layer(f"instance_decoder.{name}.0", hit, size)
                yield from layer(f"instance_decoder.{name}.2", hit)
        yield from together(hit_heads(heads))
        yield from together(event_heads(heads))

    return np.concatenate([part.ravel() for part in parts()], dtype=np.float32)


def _blocks(arch: Architecture) -> dict[str, tuple[int, int, int]]:
    """Return source, target and output features of each block, in order."""
    hit, nexus, event = arch.hit_features, arch.nexus_features, arch.interaction_features
    return {
        "plane_net": (hit, hit, hit),
        "plane_to_nexus": (hit, nexus, nexus),
        "nexus_to_interaction": (nexus, event, event),
        "interaction_to_nexus": (event, nexus, nexus),
        "nexus_to_plane": (nexus, hit, hit),
    }
