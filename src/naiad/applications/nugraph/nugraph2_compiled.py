"""NuGraph2's inference on a CPU, in C++ (`cpp/nugraph2.h`).

The arithmetic is that of :mod:`naiad.applications.nugraph.nugraph2_model` in another order.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from naiad.applications.nugraph.arrangement import padded
from naiad.applications.nugraph.card import NuGraph2Architecture, NuGraph2Card
from naiad.applications.nugraph.native_library import CompiledNetwork, Sizes
from naiad.applications.nugraph.nugraph2_arrangement import arrange, parameter_shapes
from naiad.card import read_card
from naiad.weights import read_arrays

if TYPE_CHECKING:
    from naiad.applications.nugraph.nugraph2_model import NuGraph2Net


class _Sizes(Sizes):
    _fields_ = [
        (name, ctypes.c_int64)
        for name in (
            *("planes", "in_features", "planar", "nexus"),
            *("semantic_classes", "iterations"),
        )
    ]


class CompiledNuGraph2(CompiledNetwork):
    """``NuGraph2Net`` for inference on the CPU, in C++.

    The weights are copied: later changes to the network have no effect here.
    """

    name = "nugraph2"

    def __init__(
        self,
        arch: NuGraph2Architecture,
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
            semantic_classes=arch.semantic_classes,
            iterations=arch.num_iters,
        )
        weights = arrange(arch, state, mean, std)
        super().__init__(arch.planes, arch.semantic_classes, sizes, weights, instructions)

    @classmethod
    def load(cls, folder: Path) -> CompiledNuGraph2:
        """Load a folder of weights.

        Raises:
            WeightsError: a file is missing, does not match the card's sha256, or does not fit the
                architecture.
            OSError: the library cannot be loaded.
        """
        known = read_card(folder, NuGraph2Card)
        state = read_arrays(folder, parameter_shapes(known.architecture), known.sha256)
        return cls(known.architecture, state, known.mean, known.std)

    @classmethod
    def of(cls, net: NuGraph2Net, instructions: str | None = None) -> CompiledNuGraph2:
        """Compile a torch network for the CPU."""
        return cls(net.arch, *net.arrays(), instructions)

    def __call__(self, batch: Mapping[str, Any], num_events: int) -> dict[str, NDArray[np.float32]]:
        """Label a block-diagonal batch of events, as :meth:`NuGraph2Net.forward` does.

        Takes arrays, or tensors on the CPU, and returns arrays.

        A spacepoint must have at most one edge per plane, as
        :func:`naiad.applications.nugraph.prepare.prepare` makes them, and indices must be in range:
        neither is checked.

        Raises:
            MemoryError: the batch does not fit in memory.
        """
        return self.label(batch)
