"""Networks run by ONNX Runtime: device, threads and errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from naiad.core.schema import Array
from naiad.errors import MissingExtra, WeightsError
from naiad.networks import threads
from naiad.networks.network import EXTRAS, Network, Port
from naiad.networks.versions import Versions

DTYPES: Final[Mapping[str, str]] = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}
"""The protocol's dtype for each of ONNX Runtime's types."""

_CUDA: Final = "CUDAExecutionProvider"
_WARNING, _ERROR = 2, 3  # severities


@dataclass(frozen=True, slots=True)
class OnnxOptions:
    """Settings of a session.

    Attributes:
        intra_op_threads: threads within an operator; 0 lets ONNX Runtime choose.
        inter_op_threads: threads across operators, in parallel execution.
        parallel: run independent operators at the same time.
        graph_level: Triton's ``optimization.graph.level``: 0 all optimisations, -1 basic ones, 1
            extended ones, 2 none.
        arena: keep memory between runs.
        memory_pattern: plan memory ahead from the shapes of previous runs.
        entries: further session options by name.
        log_severity: least severity that is logged, by ONNX Runtime's numbers.
    """

    intra_op_threads: int = 1
    inter_op_threads: int = 1
    parallel: bool = False
    graph_level: int = 0
    arena: bool = True
    memory_pattern: bool = True
    entries: Mapping[str, str] = field(default_factory=dict[str, str])
    log_severity: int = _WARNING


def open_onnx(
    source: Path | bytes,
    device: str = "cpu",
    *,
    number: int | None = None,
    extra: str = EXTRAS["onnxruntime"],
) -> Network:
    """Load an ONNX file, or the bytes of one; see `open_session`.

    ``number`` is that of the threads of all batches; by default each batch has its own.
    """
    state = _state(source)

    def load(number: int) -> Any:
        session = open_session(source, device, own_options(number), extra=extra)
        if _state(source) != state:
            raise WeightsError(f"{source} has changed since the model was loaded")
        return session

    versions = Versions(load, number)
    inputs, outputs = map(ports, (versions.current.get_inputs(), versions.current.get_outputs()))
    names = [port.name for port in inputs]

    def run(arrays: Sequence[Array]) -> list[Array]:
        found: Any = versions.current.run(None, dict(zip(names, arrays, strict=True)))
        return [np.asarray(one) for one in found]

    return Network("onnxruntime", run, inputs, outputs)


def ports(entries: Any) -> tuple[Port, ...]:
    """Return the inputs or outputs of a session; the dtype is None if it has no name in KServe."""
    return tuple(
        Port(
            str(entry.name),
            DTYPES.get(entry.type),
            tuple(size if isinstance(size, int) else -1 for size in entry.shape),
        )
        for entry in entries
    )


def open_session(
    source: Path | bytes,
    device: str = "cpu",
    options: OnnxOptions | None = None,
    *,
    extra: str = EXTRAS["onnxruntime"],
) -> Any:
    """Load an ONNX file.

    Args:
        source: the file, or its bytes.
        device: ``"cpu"``, ``"cuda:0"``.
        options: by default one thread (or ``OMP_NUM_THREADS``) that does not spin, which would take
            cores from other instances.
        extra: the extra of Naiad that has ONNX Runtime, for the message.

    Returns:
        An ``onnxruntime.InferenceSession``.

    Raises:
        WeightsError: not an ONNX file, or it cannot run there.
        MissingExtra: ONNX Runtime is not installed.
    """
    path = source if isinstance(source, Path) else "the network"
    given = str(source) if isinstance(source, Path) else source
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
    settings = _settings(onnxruntime, options or own_options())
    try:
        return onnxruntime.InferenceSession(given, settings, providers=providers)
    except Exception as error:  # ONNX Runtime has many kinds of its own
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise WeightsError(f"{path} cannot be loaded as ONNX: {first}") from error


def own_options(number: int | None = None) -> OnnxOptions:
    """Return the options of Naiad's own networks; ``number`` of threads is the process's."""
    return OnnxOptions(
        intra_op_threads=number or threads.current(),
        entries={"session.intra_op.allow_spinning": "0"},
        log_severity=_ERROR,
    )


def _state(source: Path | bytes) -> tuple[int, ...]:
    """Return what is another if a file is."""
    if isinstance(source, bytes) or not source.exists():
        return ()
    found = source.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


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
