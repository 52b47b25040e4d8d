"""ONNX model files, run by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from naiad.core.schema import Array
from naiad.errors import MissingExtra, RepositoryError
from naiad.triton.backends.signature import ONNX_DTYPES, Port, Signature

_CUDA = "CUDAExecutionProvider"


@dataclass(frozen=True, slots=True)
class OnnxFile:
    """A loaded model file.

    Attributes:
        signature: its inputs and outputs.
        call: the model: takes arrays by input name and the names of the wanted outputs; returns an
            array per output.
    """

    signature: Signature
    call: Callable[[Mapping[str, Array], Sequence[str]], list[Array]]


@dataclass(frozen=True, slots=True)
class OnnxOptions:
    """Options of ONNX Runtime.

    Attributes:
        intra_op_threads: threads within an operator; 0 lets ONNX Runtime choose.
        inter_op_threads: threads across operators, in parallel execution.
        parallel: run independent operators at the same time.
        graph_level: Triton's ``optimization.graph.level``: 0 all optimisations, -1 basic ones, 1
            extended ones, 2 none.
        arena: keep memory between runs.
        memory_pattern: plan memory ahead from the shapes of previous runs.
        entries: further session options by name.
    """

    intra_op_threads: int = 1
    inter_op_threads: int = 1
    parallel: bool = False
    graph_level: int = 0
    arena: bool = True
    memory_pattern: bool = True
    entries: Mapping[str, str] = field(default_factory=dict[str, str])


def load_onnx(file: Path, device: str = "cpu", options: OnnxOptions | None = None) -> OnnxFile:
    """Load a ``.onnx`` file onto ``cpu`` or ``cuda:<index>``.

    Raises:
        RepositoryError: the file cannot be loaded, or not on that device; says why.
        MissingExtra: ONNX Runtime is not installed.
    """
    try:
        import onnxruntime
    except ImportError:
        raise MissingExtra("onnx", "onnxruntime") from None
    providers: list[Any] = ["CPUExecutionProvider"]
    if device.startswith("cuda"):
        if _CUDA not in onnxruntime.get_available_providers():
            raise RepositoryError(
                f"{file}: KIND_GPU instances need ONNX Runtime with CUDA, onnxruntime-gpu; this "
                f"one has {', '.join(onnxruntime.get_available_providers())}"
            )
        providers.insert(0, (_CUDA, {"device_id": device.partition(":")[2] or "0"}))
    settings = _settings(onnxruntime, options or OnnxOptions())
    try:
        session = onnxruntime.InferenceSession(str(file), settings, providers=providers)
    except Exception as error:
        raise RepositoryError(f"{file} cannot be loaded as ONNX: {error}") from error

    def call(arrays: Mapping[str, Array], wanted: Sequence[str]) -> list[Array]:
        outputs: Any = session.run(list(wanted), dict(arrays))
        return list(outputs)

    signature = Signature(
        "onnx",
        tuple(_port(file, entry) for entry in session.get_inputs()),
        tuple(_port(file, entry) for entry in session.get_outputs()),
    )
    return OnnxFile(signature, call)


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
    for key, value in options.entries.items():
        settings.add_session_config_entry(key, value)
    return settings


def _port(file: Path, entry: Any) -> Port:
    if entry.type not in ONNX_DTYPES:
        raise RepositoryError(
            f"{file}: {entry.name} is {entry.type}, for which Triton has no dtype; it has "
            f"{', '.join(ONNX_DTYPES)}"
        )
    shape = tuple(size if isinstance(size, int) else -1 for size in entry.shape)
    return Port(entry.name, ONNX_DTYPES[entry.type], shape)
