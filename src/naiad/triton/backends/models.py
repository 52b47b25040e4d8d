"""Exported models ready to run: a file, bound to its config and set up on its device."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from naiad.core.schema import Array, Arrays
from naiad.errors import PipelineError, RepositoryError
from naiad.networks import threads
from naiad.networks.onnx_networks import OnnxOptions
from naiad.triton.backends.binding import Binding, bind
from naiad.triton.backends.onnx_file import OnnxFile, load_onnx
from naiad.triton.backends.openvino_file import OpenVinoFile, load_openvino
from naiad.triton.backends.remedies import without_tensorflow
from naiad.triton.backends.signature import TENSORFLOW_DTYPES
from naiad.triton.backends.tensorflow_file import (
    TensorFlowFile,
    TensorFlowOptions,
    has_cuda,
    load_tensorflow,
    tensorflow_is_installed,
)
from naiad.triton.backends.torch_file import TorchFile, load_torch
from naiad.triton.model_config import ModelConfig

_NUMPY: Final[Mapping[str, str]] = {name: dtype for dtype, name in TENSORFLOW_DTYPES.items()} | {
    "BYTES": "object"
}
# They load code, change shapes, or round: float32 is float32 here.
_OPENVINO_REFUSED: Final = {"CPU_EXTENSION_PATH", "RESHAPE_IO_LAYOUTS", "HINT_BF16", "ENFORCE_BF16"}


def load_model(
    config: ModelConfig, version: int | str, device: str | None = "cpu"
) -> TorchModel | ArrayModel:
    """Load a version of a model of one of the backends for files.

    Args:
        config: its configuration.
        version: the name of the version's folder.
        device: ``cpu``, ``cuda:<index>``, or None for the devices that a TorchScript or TensorFlow
            file names.

    Raises:
        RepositoryError: the file is missing or cannot be loaded, the config does not match it, or
            TensorFlow is not installed.
        MissingExtra: torch, ONNX Runtime or OpenVINO is not installed.
    """
    _refuse_unsupported(config)
    file = config.model_file(version)
    if config.backend == "onnxruntime":
        loaded = load_onnx(file, device or "cpu", onnx_options(config))
        return ArrayModel(config, loaded, bind(config, loaded.signature))
    if config.backend == "openvino":
        loaded = load_openvino(file, openvino_threads(config, device))
        return ArrayModel(config, loaded, bind(config, loaded.signature))
    if config.backend == "tensorflow":
        loaded = load_tensorflow_of(config, file, device)
        return ArrayModel(config, loaded, bind(config, loaded.signature))
    _set_torch_up(config, device)
    loaded = load_torch(file, device)
    return TorchModel(config, loaded, bind(config, loaded.signature), device)


@dataclass(frozen=True, slots=True)
class ArrayModel:
    """A model that ONNX Runtime, OpenVINO or TensorFlow runs: arrays in, arrays out."""

    config: ModelConfig
    file: OnnxFile | OpenVinoFile | TensorFlowFile
    binding: Binding

    def __call__(self, arrays: Arrays) -> dict[str, Array]:
        """Run the model.

        Args:
            arrays: every input of the config by name, including the batch dimension.

        Raises:
            PipelineError: the model fails, or its results do not match its config.
        """
        names = list(self.binding.outputs)
        try:
            outputs = self.file.call(arrays, names)
        except Exception as error:
            raise _failure(self.config, error) from error
        return _checked(self.config, dict(zip(names, outputs, strict=True)))


@dataclass(frozen=True, slots=True)
class TorchModel:
    """A model that torch runs."""

    config: ModelConfig
    file: TorchFile
    binding: Binding
    device: str | None = "cpu"

    def __call__(self, arrays: Arrays) -> dict[str, Array]:
        """Run the model, like :meth:`ArrayModel.__call__`."""
        import torch

        with self._mode(torch):
            outputs = self.forward({name: self._value(array) for name, array in arrays.items()})
            result = {name: _numpy(value) for name, value in outputs.items()}
        if self.config.flag("ENABLE_CACHE_CLEANING", False) and self.device != "cpu":
            torch.cuda.empty_cache()
        return _checked(self.config, result)

    def forward(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Run the model on tensors; return a tensor, or list of strings, per output of the config.

        Raises:
            PipelineError: the model fails, or returns fewer outputs than its config has.
        """
        if self.file.signature.inputs is None:
            given: Any = dict(values)
        else:
            given = [values[name] for name in self.binding.inputs]
        try:
            outputs: Any = self.file.call(given)
        except Exception as error:
            raise _failure(self.config, error) from error
        # If only the run shows a dictionary or a list, places are names.
        listed = list(outputs.values()) if isinstance(outputs, dict) else list(outputs)
        result: dict[str, Any] = {}
        for name, place in self.binding.outputs.items():
            where: Any = outputs if isinstance(outputs, dict) and name in outputs else listed
            key = name if where is outputs else self._position(name, place)
            try:
                result[name] = where[key]
            except (KeyError, IndexError):
                there = ", ".join(outputs) if isinstance(outputs, dict) else len(listed)
                raise PipelineError(
                    f"{self.config.name} returned no output {name!r}; it returned {there}"
                ) from None
        return result

    def _position(self, name: str, place: int | str) -> int:
        if isinstance(place, int):
            return place
        index = name.rpartition("__")[2]
        names = [tensor.name for tensor in self.config.outputs]
        return int(index) if index.isdecimal() and "__" in name else names.index(name)

    def _value(self, array: Array) -> Any:
        import torch

        if array.dtype == object:
            return [bytes(value).decode() for value in array.flat]
        writable = array if array.flags.writeable else array.copy()  # torch would warn
        tensor = torch.from_numpy(writable)
        if self.device is None or self.device == "cpu":
            return tensor
        return tensor.to(self.device, non_blocking=True)

    def _mode(self, torch: Any) -> contextlib.AbstractContextManager[Any]:
        inference = self.config.flag("INFERENCE_MODE", True)
        mode = torch.inference_mode() if inference else torch.no_grad()
        if not self.config.flag("DISABLE_OPTIMIZED_EXECUTION", False):
            return mode
        stack = contextlib.ExitStack()
        stack.enter_context(mode)
        stack.enter_context(torch.jit.optimized_execution(False))
        return stack


def onnx_options(config: ModelConfig) -> OnnxOptions:
    """Return a config's options for ONNX Runtime, which have the names of NVIDIA's backend."""
    intra = config.count("intra_op_thread_count", threads.current())
    graph = config.message.optimization.graph
    return OnnxOptions(
        intra_op_threads=threads.current() if intra is None else intra,
        inter_op_threads=config.count("inter_op_thread_count", 1) or 0,
        parallel=config.count("execution_mode", 0) == 1,
        graph_level=graph.level,
        arena=config.flag("enable_mem_arena", True),
        memory_pattern=config.flag("enable_mem_pattern", True),
        entries={k: v for k, v in config.parameters.items() if k.startswith("session.")},
    )


def openvino_threads(config: ModelConfig, device: str | None) -> int:
    """Return a config's number of threads, which has the name of NVIDIA's backend, or an older one.

    Raises:
        RepositoryError: a parameter or the device is not supported; names it.
    """
    if device is not None and device != "cpu":
        raise config.wrong("OpenVINO models run on the CPU here; set instance_group.kind: KIND_CPU")
    for key in sorted(_OPENVINO_REFUSED & config.parameters.keys()):
        raise config.wrong(
            f'parameters["{key}"] is set, which Naiad\'s openvino backend does not support'
        )
    number = config.count("INFERENCE_NUM_THREADS") or config.count("CPU_THREADS_NUM")
    return number or threads.current()


def load_tensorflow_of(
    config: ModelConfig, file: Path, device: str | None = "cpu"
) -> TensorFlowFile:
    """Load a TensorFlow file as its config says.

    Raises:
        RepositoryError: the file cannot be loaded, is of another platform, or TensorFlow is not
            installed, or not for that device; says what to do.
    """
    folder = file.is_dir()
    if config.platform == ("tensorflow_graphdef" if folder else "tensorflow_savedmodel"):
        raise config.wrong(
            f"platform is {config.platform!r}, but {file.parent.name}/{file.name} is a "
            f"{'folder, as a SavedModel is' if folder else 'file, as a GraphDef is'}"
        )
    if not tensorflow_is_installed():
        raise without_tensorflow(config, file)
    if device is not None and device.startswith("cuda") and not has_cuda():
        raise _without_cuda(config, "TensorFlow")
    return load_tensorflow(file, device, tensorflow_options(config, file))


def tensorflow_options(config: ModelConfig, file: Path) -> TensorFlowOptions:
    """Return a config's options for TensorFlow, which have the names of NVIDIA's backend.

    Raises:
        RepositoryError: a parameter is invalid; names it.
    """
    intra = config.count("TF_NUM_INTRA_THREADS", threads.current())
    inter = config.count("TF_NUM_INTER_THREADS", 1)
    optimization = config.message.optimization
    return TensorFlowOptions(
        intra_op_threads=threads.current() if intra is None else intra,
        inter_op_threads=1 if inter is None else inter,
        graph_level=optimization.graph.level if optimization.HasField("graph") else None,
        tag=config.parameters.get("TF_GRAPH_TAG", ""),
        signature=config.parameters.get("TF_SIGNATURE_DEF", ""),
        init_ops=_init_ops(config, file),
        libraries=tuple(config.message.model_operations.op_library_filename),
        batched=frozenset(t.name for t in config.inputs if config.max_batch_size > 0),
    )


def _init_ops(config: ModelConfig, file: Path) -> tuple[str, ...]:
    """Return the operations in the JSON file that a config names, beside its model file or it."""
    key = "TF_INIT_OPS_FILE"
    name = config.parameters.get(key, "")
    if not name:
        return ()
    found = [path for path in (file.parent / name, config.path / name) if path.is_file()]
    if not found:
        raise config.wrong(
            f'parameters["{key}"] is {name!r}; no such file in {file.parent} or {config.path}'
        )
    try:
        listed = json.loads(found[0].read_text("utf-8"))["init_ops"]
        return tuple(str(operation) for operation in listed)
    except (ValueError, KeyError, TypeError):
        raise config.wrong(
            f'parameters["{key}"]: {found[0]} must be like {{"init_ops": ["init"]}}'
        ) from None


def _set_torch_up(config: ModelConfig, device: str | None) -> None:
    import torch

    if device is not None and device.startswith("cuda") and not torch.cuda.is_available():
        raise _without_cuda(config, "torch")
    number = config.count("INTRA_OP_THREAD_COUNT") or config.count("NUM_THREADS")
    torch.set_num_threads(number or threads.current())
    inter = config.count("INTER_OP_THREAD_COUNT") or config.count("NUM_INTEROP_THREADS")
    if inter:
        torch.set_num_interop_threads(inter)
    if config.flag("DISABLE_CUDNN", False):
        torch.backends.cudnn.enabled = False
    # torch has these switches only as private functions.
    for key, name in (
        ("ENABLE_JIT_EXECUTOR", "_jit_set_profiling_executor"),
        ("ENABLE_JIT_PROFILING", "_jit_set_profiling_mode"),
        ("ENABLE_TENSOR_FUSER", "_jit_set_texpr_fuser_enabled"),
    ):
        if key in config.parameters:
            getattr(torch._C, name)(config.flag(key, True))  # pyright: ignore[reportPrivateUsage]


def _without_cuda(config: ModelConfig, framework: str) -> RepositoryError:
    return config.wrong(
        f"instance_group.kind is KIND_GPU, or left to Triton on a machine with a GPU, but this "
        f"{framework} has no CUDA; install one with CUDA, or set KIND_CPU"
    )


def _refuse_unsupported(config: ModelConfig) -> None:
    """Refuse features of NVIDIA's backends that these lack, rather than answer wrongly."""
    message = config.message
    sequences = message.sequence_batching
    for field, there in (
        ("batch_input", bool(message.batch_input)),
        ("batch_output", bool(message.batch_output)),
        ("sequence_batching.control_input", bool(sequences.control_input)),
        ("sequence_batching.state", bool(sequences.state)),
        ("model_transaction_policy.decoupled", message.model_transaction_policy.decoupled),
    ):
        if there:
            raise config.wrong(
                f"{field} is set, which Naiad's {config.backend} backend does not support; serve "
                f"this model with NVIDIA's backend, in its container or from a --backend-directory"
            )


def _checked(config: ModelConfig, result: dict[str, Array]) -> dict[str, Array]:
    """Return the result after checking its dtypes, which Triton does not check (2.51)."""
    for tensor in config.outputs:
        array = result[tensor.name]
        if not array.ndim and tensor.dims == (1,):  # Triton has no tensor without dims
            result[tensor.name] = array = array.reshape(1)
        if array.dtype != np.dtype(_NUMPY[tensor.dtype]):
            raise PipelineError(
                f"{config.name} returned {tensor.name} as {array.dtype}, but in its config.pbtxt "
                f"{tensor.field}.data_type is TYPE_{tensor.dtype}"
            )
    return result


def _failure(config: ModelConfig, error: Exception) -> PipelineError:
    # TorchScript's message ends with the error, after a traceback of the model's code.
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    why = lines[-1].strip() if lines else type(error).__name__
    return PipelineError(f"{config.name} failed: {why}")


def _numpy(value: Any) -> Array:
    if isinstance(value, list):
        return np.array([str(text).encode() for text in value], dtype=object)
    return np.ascontiguousarray(value.numpy(force=True))
