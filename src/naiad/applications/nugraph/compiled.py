"""NuGraph3's inference on a CPU, in C++ (`cpp/nugraph3.h`).

The arithmetic is that of :mod:`naiad.applications.nugraph.model` in another order.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from naiad.applications.nugraph.arrangement import arrange, padded, parameter_shapes
from naiad.applications.nugraph.card import Architecture, NuGraph3Card
from naiad.applications.nugraph.native_library import Batch, CompiledNetwork, Sizes
from naiad.card import read_card
from naiad.weights import read_arrays

if TYPE_CHECKING:
    from naiad.applications.nugraph.model import NuGraph3Net


class _Sizes(Sizes):
    _fields_ = [
        (name, ctypes.c_int64)
        for name in (
            *("planes", "in_features", "planar", "nexus", "interaction"),
            *("semantic_classes", "event_classes", "iterations"),
        )
    ]


class _Batch(Batch):
    _fields_ = [
        ("events", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("event_of", "event_scores", "vertex")),
    ]


class CompiledNuGraph3(CompiledNetwork):
    """``NuGraph3Net`` for inference on the CPU, in C++.

    The weights are copied: later changes to the network have no effect here.
    """

    name = "nugraph3"
    batch = _Batch

    def __init__(
        self,
        arch: Architecture,
        state: Mapping[str, NDArray[np.float32]],
        mean: Mapping[str, Sequence[float]],
        std: Mapping[str, Sequence[float]],
        instructions: str | None = None,
    ) -> None:
        """Arrange the weights for this processor.

        Args:
            arch: the sizes of the network.
            state: its parameters, by the names of the original checkpoint.
            mean: of each plane's features.
            std: of each plane's features.
            instructions: one of :func:`naiad.applications.nugraph.native_library.instruction_sets`;
                by default the last.

        Raises:
            OSError: the library cannot be loaded.
            RuntimeError: the library rejected the weights.
        """
        self.arch = arch
        sizes = _Sizes(
            planes=len(arch.planes),
            in_features=arch.in_features,
            planar=padded(arch.planar_features),
            nexus=padded(arch.nexus_features),
            interaction=padded(arch.interaction_features),
            semantic_classes=arch.semantic_classes,
            event_classes=arch.event_classes,
            iterations=arch.num_iters,
        )
        weights = arrange(arch, state, mean, std)
        super().__init__(arch.planes, arch.semantic_classes, sizes, weights, instructions)

    @classmethod
    def load(cls, folder: Path) -> CompiledNuGraph3:
        """Load a folder of weights (:mod:`naiad.applications.nugraph.weights`).

        Raises:
            WeightsError: a file is missing, does not match the card's sha256, or does not fit the
                architecture.
            OSError: the library cannot be loaded.
        """
        known = read_card(folder, NuGraph3Card)
        state = read_arrays(folder, parameter_shapes(known.architecture), known.sha256)
        return cls(known.architecture, state, known.mean, known.std)

    @classmethod
    def of(cls, net: NuGraph3Net, instructions: str | None = None) -> CompiledNuGraph3:
        """Compile a torch network for the CPU."""
        return cls(net.arch, *net.arrays(), instructions)

    def __call__(self, batch: Mapping[str, Any], num_events: int) -> dict[str, NDArray[np.float32]]:
        """Label a block-diagonal batch of events, as :meth:`NuGraph3Net.forward` does.

        Takes arrays, or tensors on the CPU, and returns arrays.

        A spacepoint must have at most one edge per plane, as
        :func:`naiad.applications.nugraph.prepare.prepare` makes them, and indices must be in range:
        neither is checked.

        Raises:
            MemoryError: the batch does not fit in memory.
        """
        event = np.empty((num_events, self.arch.event_classes), np.float32)
        vertex = np.empty((num_events, 3), np.float32)
        event_of = np.ascontiguousarray(batch["sp_event"], np.int64)
        of_hits = self.label(
            batch, events=num_events, event_of=event_of, event_scores=event, vertex=vertex
        )
        return {"e_evt": event, **of_hits, "v_evt": vertex}
