"""Sessions of ONNX Runtime: their device, their threads, and why a file cannot be loaded."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from naiad.errors import MissingExtra, WeightsError

_CUDA: Final = "CUDAExecutionProvider"
_WARNING, _ERROR = 2, 3  # severities


@dataclass(frozen=True, slots=True)
class OnnxOptions:
    """Settings of a session.

    Attributes:
        intra_op_threads: within an operator; 0 lets ONNX Runtime choose.
        inter_op_threads: across operators, in parallel execution.
        parallel: run independent operators at the same time.
        graph_level: Triton's ``optimization.graph.level``: 0 all optimisations, -1 basic ones, 1
            extended ones, 2 none.
        arena: keep memory between runs.
        memory_pattern: plan memory ahead by the shapes of former runs.
        entries: further session options by name.
        log_severity: of the least message that is logged, as ONNX Runtime counts them.
    """

    intra_op_threads: int = 1
    inter_op_threads: int = 1
    parallel: bool = False
    graph_level: int = 0
    arena: bool = True
    memory_pattern: bool = True
    entries: Mapping[str, str] = field(default_factory=dict[str, str])
    log_severity: int = _WARNING


def open_session(
    path: Path, device: str = "cpu", options: OnnxOptions | None = None, *, extra: str = "onnx"
) -> Any:
    """Load an ONNX file.

    Args:
        path: the file.
        device: ``"cpu"``, ``"cuda:0"``.
        options: by default one thread, or ``OMP_NUM_THREADS``, which does not spin: that would take
            the cores from other instances.
        extra: of Naiad, which has ONNX Runtime.

    Returns:
        An ``onnxruntime.InferenceSession``.

    Raises:
        WeightsError: it is no ONNX file, or cannot run there.
        MissingExtra: ONNX Runtime is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtra(extra, error.name or "onnxruntime") from error
    providers: list[Any] = ["CPUExecutionProvider"]
    if device.startswith("cuda"):
        there = onnxruntime.get_available_providers()
        if _CUDA not in there:
            raise WeightsError(
                f"{path}: device {device} needs a build of ONNX Runtime with CUDA, "
                f"onnxruntime-gpu; this one has {', '.join(there)}"
            )
        providers.insert(0, (_CUDA, {"device_id": device.partition(":")[2] or "0"}))
    settings = _settings(onnxruntime, options or _own_options())
    try:
        return onnxruntime.InferenceSession(str(path), settings, providers=providers)
    except Exception as error:  # ONNX Runtime has many kinds of its own
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise WeightsError(f"{path} cannot be loaded as ONNX: {first}") from error


def _own_options() -> OnnxOptions:
    return OnnxOptions(
        intra_op_threads=int(os.environ.get("OMP_NUM_THREADS", "1")),
        entries={"session.intra_op.allow_spinning": "0"},
        log_severity=_ERROR,
    )


def _settings(onnxruntime: Any, options: OnnxOptions) -> Any:
    levels = onnxruntime.GraphOptimizationLevel
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.intra_op_threads
    settings.inter_op_num_threads = options.inter_op_threads
    if options.parallel:
        settings.execution_mode = onnxruntime.ExecutionMode.ORT_PARALLEL
    settings.graph_optimization_level = {
        -1: levels.ORT_ENABLE_BASIC,
        1: levels.ORT_ENABLE_EXTENDED,
        2: levels.ORT_DISABLE_ALL,
    }.get(options.graph_level, levels.ORT_ENABLE_ALL)
    settings.enable_cpu_mem_arena = options.arena
    settings.enable_mem_pattern = options.memory_pattern
    settings.log_severity_level = options.log_severity
    for key, value in options.entries.items():
        settings.add_session_config_entry(key, value)
    return settings
