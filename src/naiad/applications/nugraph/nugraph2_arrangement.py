"""The weights of NuGraph2 in the order that the compiled network reads (`cpp/nugraph2.h`)."""

from __future__ import annotations

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
