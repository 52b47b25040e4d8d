"""NuGraph3's inference on a CPU, in C++ compiled when Naiad's wheel was built (`cpp/`).

The arithmetic is that of :mod:`naiad.applications.nugraph.model` in another order. It does not need
torch, whose import takes most of a worker's start.
"""

from __future__ import annotations

import ctypes
import platform
import weakref
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from naiad.applications.nugraph.arrangement import arrange, padded, parameter_shapes
from naiad.applications.nugraph.card import Architecture, NuGraph3Card
from naiad.card import read_card
from naiad.weights import read_arrays

if TYPE_CHECKING:
    from naiad.applications.nugraph.model import NuGraph3Net

LIBRARY: Final = Path(__file__).parent / "lib" / platform.machine() / "libnugraph3.so"

# In the library's order, with the processor flags each needs, as Linux names them.
_INSTRUCTION_SETS: Final[Mapping[str, frozenset[str]]] = {
    "baseline": frozenset(),
    "avx2": frozenset({"avx2", "fma"}),
    "avx512": frozenset({"avx2", "fma", "avx512f"}),
}


def instruction_sets() -> list[str]:
    """Return the library's instruction sets that this processor supports, fastest last."""
    if platform.machine() != "x86_64":
        return ["baseline"]
    flags: set[str] = set()
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("flags"):
            flags.update(line.split())
            break
    return [name for name, needed in _INSTRUCTION_SETS.items() if needed <= flags]


class _Sizes(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_int64)
        for name in (
            *("planes", "in_features", "planar", "nexus", "interaction"),
            *("semantic_classes", "event_classes", "iterations"),
        )
    ]


class _Plane(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int64) for name in ("hits", "plane_edges", "nexus_edges")),
        *(
            (name, ctypes.c_void_p)
            for name in (
                *("x", "plane_source", "plane_target", "nexus_hit", "nexus_point"),
                *("semantic", "filter"),
            )
        ),
    ]


class _Batch(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int64) for name in ("spacepoints", "events")),
        *((name, ctypes.c_void_p) for name in ("event_of", "event_scores", "vertex")),
        ("planes", ctypes.POINTER(_Plane)),
    ]


@cache
def _library() -> ctypes.CDLL:
    """Load the library and declare its functions; raise OSError if it cannot be loaded."""
    library = ctypes.CDLL(str(LIBRARY))
    handle, number = ctypes.c_void_p, ctypes.c_int
    library.nugraph3_load.argtypes = [number, ctypes.POINTER(_Sizes), handle, ctypes.c_int64]
    library.nugraph3_load.restype = handle
    library.nugraph3_label.argtypes = [number, handle, ctypes.POINTER(_Batch)]
    library.nugraph3_label.restype = ctypes.c_bool
    library.nugraph3_unload.argtypes = [number, handle]
    library.nugraph3_unload.restype = None
    return library


class CompiledNuGraph3:
    """``NuGraph3Net`` for inference on the CPU, in C++.

    The weights are copied: later changes to the network have no effect here.
    """

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
            instructions: one of :func:`instruction_sets`; by default the last.

        Raises:
            OSError: the library cannot be loaded.
            RuntimeError: the library rejected the weights.
        """
        self.arch = arch
        self.instructions = instructions or instruction_sets()[-1]
        weights = arrange(arch, state, mean, std)
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
        self._set = list(_INSTRUCTION_SETS).index(self.instructions)
        library = _library()
        self._label = library.nugraph3_label
        self._network = library.nugraph3_load(
            self._set, ctypes.byref(sizes), weights.ctypes.data, len(weights)
        )
        if not self._network:
            raise RuntimeError(
                f"{LIBRARY} rejected {len(weights)} weights: out of memory, or the library was "
                "built from the sources of another version of Naiad"
            )
        weakref.finalize(self, library.nugraph3_unload, self._set, self._network)

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
        state = {name: tensor.numpy() for name, tensor in net.state_dict().items()}
        mean, std = (
            {p: net.normalisation(p)[i].tolist() for p in net.arch.planes} for i in range(2)
        )
        return cls(net.arch, state, mean, std, instructions)

    def __call__(self, batch: Mapping[str, Any], num_events: int) -> dict[str, NDArray[np.float32]]:
        """Label a block-diagonal batch of events, as :meth:`NuGraph3Net.forward` does.

        Takes arrays, or tensors on the CPU, and returns arrays.

        A spacepoint must have at most one edge per plane, as
        :func:`naiad.applications.nugraph.prepare.prepare` makes them, and indices must be in range:
        neither is checked.

        Raises:
            MemoryError: the batch does not fit in memory.
        """
        arch = self.arch
        given: list[NDArray[Any]] = []  # keeps alive the memory that the library reads

        def address(array: NDArray[Any], dtype: type[np.generic]) -> int:
            array = np.ascontiguousarray(array, dtype)
            given.append(array)
            return array.ctypes.data

        def edges(name: str) -> tuple[int, int, int]:
            source, target = np.asarray(batch[name])
            return len(source), address(source, np.int64), address(target, np.int64)

        semantic: dict[str, NDArray[np.float32]] = {}
        signal: dict[str, NDArray[np.float32]] = {}
        planes = (_Plane * len(arch.planes))()
        for plane, p in zip(planes, arch.planes, strict=True):
            x = np.asarray(batch[f"x_{p}"])
            semantic[p] = np.empty((len(x), arch.semantic_classes), np.float32)
            signal[p] = np.empty(len(x), np.float32)
            plane.hits, plane.x = len(x), address(x, np.float32)
            plane.plane_edges, plane.plane_source, plane.plane_target = edges(f"plane_edge_{p}")
            plane.nexus_edges, plane.nexus_hit, plane.nexus_point = edges(f"nexus_edge_{p}")
            plane.semantic, plane.filter = semantic[p].ctypes.data, signal[p].ctypes.data
        event = np.empty((num_events, arch.event_classes), np.float32)
        vertex = np.empty((num_events, 3), np.float32)
        event_of = np.asarray(batch["sp_event"])
        merged = _Batch(
            spacepoints=len(event_of),
            events=num_events,
            event_of=address(event_of, np.int64),
            event_scores=event.ctypes.data,
            vertex=vertex.ctypes.data,
            planes=planes,
        )
        if not self._label(self._set, self._network, ctypes.byref(merged)):
            hits = sum(plane.hits for plane in planes)
            raise MemoryError(
                f"not enough memory to label {hits} hits and {len(event_of)} spacepoints at once"
            )
        return {
            "e_evt": event,
            **{f"x_semantic_{p}": scores for p, scores in semantic.items()},
            **{f"x_filter_{p}": scores for p, scores in signal.items()},
            "v_evt": vertex,
        }
