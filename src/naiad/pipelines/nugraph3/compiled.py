"""NuGraph3's inference on a CPU, in C++ that was compiled when Naiad's wheel was built (`cpp/`).

The arithmetic is that of :mod:`naiad.pipelines.nugraph3.model` in another order.
"""

from __future__ import annotations

import ctypes
import logging
import platform
import weakref
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from naiad.pipelines.nugraph3.arrangement import arrange, padded
from naiad.pipelines.nugraph3.model import NuGraph3Net

Forward: TypeAlias = Callable[[Mapping[str, Tensor], int], dict[str, Tensor]]
"""Labels a block-diagonal batch of so many events, as :meth:`NuGraph3Net.forward` does."""

LIBRARY: Final = Path(__file__).parent / "lib" / platform.machine() / "libnugraph3.so"

# In the order of the library; what a processor must have for each, as Linux names it.
_INSTRUCTION_SETS: Final[Mapping[str, frozenset[str]]] = {
    "baseline": frozenset(),
    "avx2": frozenset({"avx2", "fma"}),
    "avx512": frozenset({"avx2", "fma", "avx512f"}),
}

_log = logging.getLogger(__name__)


def fastest(net: NuGraph3Net) -> Forward:
    """The fastest form of ``net`` on the device where its weights are.

    On a CPU, the compiled one, three to five times as fast as torch. On a GPU, and where the
    library does not load, the network itself.
    """
    if net.encoder.lins[net.arch.planes[0]].weight.device.type == "cpu":
        try:
            return CompiledNuGraph3(net)
        except OSError as error:
            _log.warning("NuGraph3 runs on torch, which takes several times as long: %s", error)
    return net


def instruction_sets() -> list[str]:
    """Those of the library's instruction sets that this processor has, the fastest last."""
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
    """The library, its functions declared. Raises OSError where it cannot be loaded."""
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

    def __init__(self, net: NuGraph3Net, instructions: str | None = None) -> None:
        """Load the weights of ``net``.

        Args:
            net: on the CPU.
            instructions: one of :func:`instruction_sets`; by default the last.

        Raises:
            OSError: the library cannot be loaded.
            RuntimeError: the library does not take the weights.
        """
        self.arch = arch = net.arch
        self.instructions = instructions or instruction_sets()[-1]
        normalisation = {p: net.normalisation(p) for p in arch.planes}
        weights = arrange(
            arch,
            {name: tensor.detach().numpy() for name, tensor in net.state_dict().items()},
            {p: mean.numpy() for p, (mean, _) in normalisation.items()},
            {p: std.numpy() for p, (_, std) in normalisation.items()},
        )
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
                f"{LIBRARY} does not take {len(weights)} weights: memory ran out, or it was built "
                "from other sources than this Naiad has"
            )
        weakref.finalize(self, library.nugraph3_unload, self._set, self._network)

    def __call__(self, batch: Mapping[str, Tensor], num_events: int) -> dict[str, Tensor]:
        """Label a block-diagonal batch of events, as :meth:`NuGraph3Net.forward` does.

        A spacepoint must have at most one edge per plane, as
        :func:`naiad.pipelines.nugraph3.prepare.prepare` makes them, and indices must be in range:
        neither is checked.

        Raises:
            MemoryError: the batch is too large for the memory there is.
        """
        arch = self.arch
        given: list[NDArray[Any]] = []  # whose memory the library reads

        def address(array: NDArray[Any], dtype: type[np.generic]) -> int:
            array = np.ascontiguousarray(array, dtype)
            given.append(array)
            return array.ctypes.data

        def edges(name: str) -> tuple[int, int, int]:
            source, target = batch[name].numpy()
            return len(source), address(source, np.int64), address(target, np.int64)

        semantic: dict[str, NDArray[np.float32]] = {}
        signal: dict[str, NDArray[np.float32]] = {}
        planes = (_Plane * len(arch.planes))()
        for plane, p in zip(planes, arch.planes, strict=True):
            x = batch[f"x_{p}"].numpy()
            semantic[p] = np.empty((len(x), arch.semantic_classes), np.float32)
            signal[p] = np.empty(len(x), np.float32)
            plane.hits, plane.x = len(x), address(x, np.float32)
            plane.plane_edges, plane.plane_source, plane.plane_target = edges(f"plane_edge_{p}")
            plane.nexus_edges, plane.nexus_hit, plane.nexus_point = edges(f"nexus_edge_{p}")
            plane.semantic, plane.filter = semantic[p].ctypes.data, signal[p].ctypes.data
        event = np.empty((num_events, arch.event_classes), np.float32)
        vertex = np.empty((num_events, 3), np.float32)
        event_of = batch["sp_event"].numpy()
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
            raise MemoryError(f"no memory to label {num_events} events of {hits} hits")
        return {
            "e_evt": torch.from_numpy(event),
            **{f"x_semantic_{p}": torch.from_numpy(s) for p, s in semantic.items()},
            **{f"x_filter_{p}": torch.from_numpy(s) for p, s in signal.items()},
            "v_evt": torch.from_numpy(vertex),
        }
