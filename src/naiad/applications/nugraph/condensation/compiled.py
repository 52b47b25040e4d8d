"""Inference on a CPU, in C++ (`cpp/condensation.h`).

The arithmetic is that of :mod:`naiad.applications.nugraph.condensation.model` in another order.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from naiad.applications.nugraph.arrangement import fill, padded
from naiad.applications.nugraph.condensation.arrangement import arrange, parameter_shapes
from naiad.applications.nugraph.condensation.card import Architecture, CondensationCard
from naiad.applications.nugraph.native_library import CompiledNetwork, Sizes
from naiad.applications.nugraph.schema import PLANES
from naiad.card import read_card
from naiad.weights import read_arrays

if TYPE_CHECKING:
    from naiad.applications.nugraph.condensation.model import CondensationNet

Floats = NDArray[np.float32]


class _Sizes(Sizes):
    _fields_ = [
        (name, ctypes.c_int64)
        for name in (
            *("in_features", "hit", "nexus", "interaction", "coordinates", "wide", "condenses"),
            *("hit_columns", "event_columns", "iterations"),
        )
    ]


class _Batch(ctypes.Structure):
    _fields_ = [
        *(
            (name, ctypes.c_int64)
            for name in ("hits", "spacepoints", "events", "plane_edges", "nexus_edges")
        ),
        *(
            (name, ctypes.c_void_p)
            for name in (
                *("x", "plane_source", "plane_target", "nexus_hit", "nexus_point", "event_of"),
                *("scores", "places", "hit_scores", "event_scores"),
            )
        ),
    ]


class CompiledCondensation(CompiledNetwork):
    """``CondensationNet`` for inference on the CPU, in C++.

    The weights are copied: later changes to the network have no effect here.
    """

    name = "condensation"
    batch = _Batch

    def __init__(
        self,
        arch: Architecture,
        heads: Sequence[str],
        state: Mapping[str, Floats],
        mean: Sequence[float],
        var: Sequence[float],
        instructions: str | None = None,
    ) -> None:
        """Arrange the weights for this processor.

        Args:
            arch: the sizes of the network.
            heads: its heads.
            state: its parameters, by the names of the original checkpoint.
            mean: of each feature.
            var: of each feature.
            instructions: one of :func:`naiad.applications.nugraph.native_library.instruction_sets`;
                by default the last.

        Raises:
            OSError: the library cannot be loaded.
            RuntimeError: the library rejected the weights.
        """
        self.arch, self.heads = arch, tuple(heads)
        self._of_hits = {
            head: size
            for head, size in (
                *(("semantic", arch.semantic_classes), ("filter", 1)),
                ("spacepoint", 3 * len(PLANES)),
            )
            if head in heads
        }
        self._of_events = {
            head: size
            for head, size in (("event", arch.event_classes), ("vertex", 3))
            if head in heads
        }
        sizes = _Sizes(
            in_features=padded(arch.in_features),
            hit=padded(arch.hit_features),
            nexus=padded(arch.nexus_features),
            interaction=padded(arch.interaction_features),
            coordinates=padded(arch.instance_features),
            wide=padded(3 * arch.hit_features),
            condenses="instance" in heads,
            hit_columns=padded(sum(self._of_hits.values())),
            event_columns=padded(sum(self._of_events.values())),
            iterations=arch.num_iters,
        )
        weights = arrange(arch, heads, state, mean, var)
        super().__init__(PLANES, arch.semantic_classes, sizes, weights, instructions)

    @classmethod
    def load(cls, folder: Path) -> CompiledCondensation:
        """Load a folder of weights.

        Raises:
            WeightsError: a file is missing, does not match the card's sha256, or does not fit the
                architecture.
            OSError: the library cannot be loaded.
        """
        known = read_card(folder, CondensationCard)
        shapes = parameter_shapes(known.architecture, known.heads)
        state = read_arrays(folder, shapes, known.sha256)
        return cls(known.architecture, known.heads, state, known.mean, known.var)

    @classmethod
    def of(cls, net: CondensationNet, instructions: str | None = None) -> CompiledCondensation:
        """Compile a torch network for the CPU."""
        state = {name: tensor.detach().numpy() for name, tensor in net.state_dict().items()}
        mean, var = (net.get_buffer(name).tolist() for name in ("mean", "var"))
        return cls(net.arch, net.heads, state, mean, var, instructions)

    def __call__(self, batch: Mapping[str, Any], num_events: int) -> dict[str, Floats]:
        """Reconstruct a block-diagonal batch of events, as :meth:`CondensationNet.forward` does.

        Takes arrays, or tensors on the CPU, and returns arrays. Indices must be in range, which is
        not checked.

        Raises:
            MemoryError: the batch does not fit in memory.
        """
        x = np.ascontiguousarray(fill(np.asarray(batch["x"], np.float32), 1))
        given = {
            "x": x,
            "event_of": np.ascontiguousarray(batch["sp_event"], np.int64),
        }
        for name, ends in (("plane", ("source", "target")), ("nexus", ("hit", "point"))):
            edges = np.ascontiguousarray(batch[f"{name}_edge"], np.int64)
            given |= {f"{name}_{end}": row for end, row in zip(ends, edges, strict=True)}
        found = {
            "scores": np.empty(len(x), np.float32),
            "places": np.empty((len(x), padded(self.arch.instance_features)), np.float32),
            "hit_scores": np.empty((len(x), padded(sum(self._of_hits.values()))), np.float32),
            "event_scores": np.empty(
                (num_events, padded(sum(self._of_events.values()))), np.float32
            ),
        }
        points = len(given["event_of"])
        merged = _Batch(
            hits=len(x),
            spacepoints=points,
            events=num_events,
            plane_edges=len(given["plane_source"]),
            nexus_edges=len(given["nexus_hit"]),
            **{name: array.ctypes.data for name, array in (given | found).items()},
        )
        if not self._label(self._set, self._network, ctypes.byref(merged)):
            raise MemoryError(
                f"not enough memory to label {len(x)} hits and {points} spacepoints at once"
            )
        return self._answer(found, np.asarray(batch["hit_plane"]))

    def _answer(self, found: Mapping[str, Floats], plane: NDArray[np.int64]) -> dict[str, Floats]:
        """Take the columns of the heads apart."""
        hits = _columns(found["hit_scores"], self._of_hits)
        events = _columns(found["event_scores"], self._of_events)
        answer: dict[str, Floats] = {}
        if "event" in events:
            answer["e_evt"] = events["event"]
        if "semantic" in hits:
            answer["x_semantic"] = hits["semantic"]
        if "filter" in hits:
            answer["x_filter"] = _sigmoid(hits["filter"][:, 0])
        if "vertex" in events:
            answer["v_evt"] = events["vertex"]
        if "instance" in self.heads:
            answer["of"] = found["scores"]
            answer["ox"] = found["places"][:, : self.arch.instance_features]
        if "spacepoint" in hits:
            of_planes = hits["spacepoint"].reshape(len(plane), len(PLANES), 3)
            answer["x_position"] = of_planes[np.arange(len(plane)), plane]
        return answer


def _columns(table: Floats, widths: Mapping[str, int]) -> dict[str, Floats]:
    ends = np.cumsum([0, *widths.values()])
    return {
        name: np.ascontiguousarray(table[:, ends[i] : ends[i + 1]]) for i, name in enumerate(widths)
    }


def _sigmoid(x: Floats) -> Floats:
    # For any x, no exponential overflows.
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e)).astype(np.float32)
