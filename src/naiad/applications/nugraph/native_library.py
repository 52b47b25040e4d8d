"""The library of compiled networks (`cpp/`), for NumPy arrays.

It was compiled when the wheel was built. It needs no torch, whose import takes most of a worker's
start.
"""

from __future__ import annotations

import ctypes
import platform
import weakref
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

LIBRARY: Final = Path(__file__).parent / "lib" / platform.machine() / "libnugraph.so"

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


class Sizes(ctypes.Structure):
    """Sizes of a network; a subclass has the fields of its own."""


class Plane(ctypes.Structure):
    """A plane of a batch."""

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


class Batch(ctypes.Structure):
    """A batch of events; a subclass may add fields."""

    _fields_ = [("spacepoints", ctypes.c_int64), ("planes", ctypes.POINTER(Plane))]


@cache
def library() -> ctypes.CDLL:
    """Load the library; raise OSError if it cannot be loaded."""
    return ctypes.CDLL(str(LIBRARY))


class CompiledNetwork:
    """A network for inference on the CPU, in C++. The weights are copied.

    Attributes:
        name: of the network, which its functions in the library begin with.
        batch: its kind of batch.
        planes: names of the planes of a detector.
        instructions: the instruction set that it uses.
    """

    name: ClassVar[str]
    batch: ClassVar[type[Batch]] = Batch

    def __init__(
        self,
        planes: Sequence[str],
        classes: int,
        sizes: Sizes,
        weights: NDArray[np.float32],
        instructions: str | None = None,
    ) -> None:
        """Load the weights, for this processor.

        Args:
            planes: names of the planes.
            classes: number of semantic classes.
            sizes: of the network.
            weights: arranged in one row, in the order that the library reads.
            instructions: one of :func:`instruction_sets`; by default the last.

        Raises:
            OSError: the library cannot be loaded.
            RuntimeError: the library rejected the weights.
        """
        self.planes, self._classes = tuple(planes), classes
        self.instructions = instructions or instruction_sets()[-1]
        self._set = list(_INSTRUCTION_SETS).index(self.instructions)
        load, self._label, unload = _functions(self.name, type(sizes), self.batch)
        self._network = load(self._set, ctypes.byref(sizes), weights.ctypes.data, len(weights))
        if not self._network:
            raise RuntimeError(
                f"{LIBRARY} rejected {len(weights)} weights: out of memory, or the library was "
                "built from the sources of another version of Naiad"
            )
        weakref.finalize(self, unload, self._set, self._network)

    def label(
        self, batch: Mapping[str, Any], **fields: int | NDArray[Any]
    ) -> dict[str, NDArray[np.float32]]:
        """Label the hits of a batch; return scores and probabilities.

        Args:
            batch: arrays, or tensors on the CPU, of
                :data:`naiad.applications.nugraph.schema.SAMPLE`, merged.
            fields: more fields of the library's batch; arrays are those that it reads or writes.

        Raises:
            MemoryError: the batch does not fit in memory.
        """
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
        planes = (Plane * len(self.planes))()
        for plane, p in zip(planes, self.planes, strict=True):
            x = np.asarray(batch[f"x_{p}"])
            semantic[p] = np.empty((len(x), self._classes), np.float32)
            signal[p] = np.empty(len(x), np.float32)
            plane.hits, plane.x = len(x), address(x, np.float32)
            plane.plane_edges, plane.plane_source, plane.plane_target = edges(f"plane_edge_{p}")
            plane.nexus_edges, plane.nexus_hit, plane.nexus_point = edges(f"nexus_edge_{p}")
            plane.semantic, plane.filter = semantic[p].ctypes.data, signal[p].ctypes.data
        points = len(batch["sp_event"])
        merged = self.batch(spacepoints=points, planes=planes)
        for name, value in fields.items():
            setattr(merged, name, value if isinstance(value, int) else value.ctypes.data)
        if not self._label(self._set, self._network, ctypes.byref(merged)):
            hits = sum(plane.hits for plane in planes)
            raise MemoryError(
                f"not enough memory to label {hits} hits and {points} spacepoints at once"
            )
        return {
            **{f"x_semantic_{p}": scores for p, scores in semantic.items()},
            **{f"x_filter_{p}": scores for p, scores in signal.items()},
        }


def _functions(name: str, sizes: type[Sizes], batch: type[Batch]) -> tuple[Any, Any, Any]:
    """Declare a network's functions in the library: load, label and unload."""
    handle, number = ctypes.c_void_p, ctypes.c_int
    load, label, unload = (
        getattr(library(), f"{name}_{function}") for function in ("load", "label", "unload")
    )
    load.argtypes = [number, ctypes.POINTER(sizes), handle, ctypes.c_int64]
    load.restype = handle
    label.argtypes = [number, handle, ctypes.POINTER(batch)]
    label.restype = ctypes.c_bool
    unload.argtypes = [number, handle]
    unload.restype = None
    return load, label, unload
