"""The weights of NuGraph2 in the order that the compiled network reads (`cpp/nugraph2.h`).

Features of each class are padded as in :mod:`naiad.applications.nugraph.arrangement`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from naiad.applications.nugraph.arrangement import Floats, fill, padded
from naiad.applications.nugraph.card import NuGraph2Architecture


def parameter_shapes(arch: NuGraph2Architecture) -> dict[str, tuple[int, ...]]:
    """Return the shape of each parameter of the network, by the original checkpoint's names."""
    given, hit, nexus = arch.in_features, arch.planar_features, arch.nexus_features
    layers: dict[str, tuple[int, int]] = {}  # out, in

    def for_each_class(name: str, out: int, features: int) -> None:
        layers.update({f"{name}.net.{c}": (out, features) for c in range(arch.semantic_classes)})

    def passing(name: str, features: int, out: int) -> None:
        for_each_class(f"{name}.edge_net.0", 1, features)
        for_each_class(f"{name}.node_net.0", out, features)
        for_each_class(f"{name}.node_net.2", out, out)

    for p in arch.planes:
        for_each_class(f"encoder.net.{p}.0", hit, given)
        passing(f"plane_net.net.{p}", 2 * (hit + given), hit)
        passing(f"nexus_net.nexus_down.{p}", hit + nexus, hit)
        for_each_class(f"semantic_decoder.net.{p}", 1, hit)
        layers[f"filter_decoder.net.{p}.0"] = 1, arch.semantic_classes * hit
    for_each_class("nexus_net.nexus_net.0", nexus, len(arch.planes) * hit)
    for_each_class("nexus_net.nexus_net.2", nexus, nexus)
    shapes: dict[str, tuple[int, ...]] = {f"{name}.weight": size for name, size in layers.items()}
    return shapes | {f"{name}.bias": (out,) for name, (out, _) in layers.items()}


def arrange(
    arch: NuGraph2Architecture,
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
    classes = range(arch.semantic_classes)

    def parts() -> Iterator[Floats]:
        for index, p in enumerate(arch.planes):
            yield from (np.array(values[p], np.float32) for values in (mean, std))
            for net in (f"plane_net.net.{p}", f"nexus_net.nexus_down.{p}"):
                yield from (state[f"{net}.edge_net.0.net.{c}.bias"] for c in classes)
            for c in classes:
                yield from _plane_class(arch, state, index, c)
            yield from _heads(arch, state, p)
        for c in classes:
            yield fill(state[f"nexus_net.nexus_net.0.net.{c}.bias"], 0)
            yield from _layer(state, f"nexus_net.nexus_net.2.net.{c}")
        yield _nexus_gates(arch, state)

    return np.concatenate([part.ravel() for part in parts()], dtype=np.float32)


def _plane_class(
    arch: NuGraph2Architecture, state: Mapping[str, Floats], index: int, c: int
) -> Iterator[Floats]:
    """Yield the weights of a plane for a class."""
    p, hit = arch.planes[index], arch.planar_features
    encoder, passing, down = (
        state[f"{name}.weight"].T
        for name in (
            f"encoder.net.{p}.0.net.{c}",
            f"plane_net.net.{p}.node_net.0.net.{c}",
            f"nexus_net.nexus_down.{p}.node_net.0.net.{c}",
        )
    )
    yield fill(encoder, 1)
    yield fill(state[f"encoder.net.{p}.0.net.{c}.bias"], 0)
    gate = state[f"plane_net.net.{p}.edge_net.0.net.{c}.weight"][0]
    yield from (_fill_features(part, hit) for part in np.split(gate, 2))
    own, message = (_fill_features(part, hit) for part in np.split(fill(passing, 1), 2))
    yield from (message, own, fill(state[f"plane_net.net.{p}.node_net.0.net.{c}.bias"], 0))
    yield from _layer(state, f"plane_net.net.{p}.node_net.2.net.{c}")
    up = state[f"nexus_net.nexus_net.0.net.{c}.weight"].T[index * hit : (index + 1) * hit]
    yield fill(fill(up, 0), 1)
    yield fill(state[f"nexus_net.nexus_down.{p}.edge_net.0.net.{c}.weight"][0, :hit], 0)
    yield from (fill(fill(part, 0), 1) for part in np.split(down, [hit]))
    yield fill(state[f"nexus_net.nexus_down.{p}.node_net.0.net.{c}.bias"], 0)
    yield from _layer(state, f"nexus_net.nexus_down.{p}.node_net.2.net.{c}")


def _heads(arch: NuGraph2Architecture, state: Mapping[str, Floats], p: str) -> Iterator[Floats]:
    """Yield one layer for a score of each class, from its own features, and the filter's."""
    hit, classes = arch.planar_features, arch.semantic_classes
    weight = np.zeros((classes, padded(hit), padded(classes + 1)), np.float32)
    bias = np.zeros(padded(classes + 1), np.float32)
    for c in range(classes):
        weight[c, :hit, c] = state[f"semantic_decoder.net.{p}.net.{c}.weight"][0]
        bias[c] = state[f"semantic_decoder.net.{p}.net.{c}.bias"][0]
    weight[:, :hit, classes] = state[f"filter_decoder.net.{p}.0.weight"].reshape(classes, hit)
    bias[classes] = state[f"filter_decoder.net.{p}.0.bias"][0]
    yield from (weight, bias)


def _nexus_gates(arch: NuGraph2Architecture, state: Mapping[str, Floats]) -> Floats:
    """Return one matrix for the gates of spacepoints, by plane and class."""
    hit, nexus, classes = arch.planar_features, arch.nexus_features, arch.semantic_classes
    weight = np.zeros((classes, padded(nexus), padded(len(arch.planes) * classes)), np.float32)
    for index, p in enumerate(arch.planes):
        for c in range(classes):
            gate = state[f"nexus_net.nexus_down.{p}.edge_net.0.net.{c}.weight"][0]
            weight[c, :nexus, index * classes + c] = gate[hit:]
    return weight


def _layer(state: Mapping[str, Floats], name: str) -> Iterator[Floats]:
    yield fill(fill(state[f"{name}.weight"].T, 0), 1)
    yield fill(state[f"{name}.bias"], 0)


def _fill_features(values: Floats, hit: int) -> Floats:
    """Pad the features of a hit, which the given ones follow."""
    return np.concatenate((fill(values[:hit], 0), values[hit:]))
