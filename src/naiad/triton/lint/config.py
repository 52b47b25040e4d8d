"""Checks of a config alone: names, backend, tensors, batching, instances and cache."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from naiad.triton.backends.graphs import DIMS_PARAMETER
from naiad.triton.config import PIPELINE_PARAMETER
from naiad.triton.devices import device_problem
from naiad.triton.engine import OWN_BACKENDS
from naiad.triton.lint.finding import Finding, error, warning
from naiad.triton.model_config import CONFIG, ModelConfig, TensorConfig
from naiad.triton.own_code import completes_itself

_INSTEAD: Final = {
    "tensorrt": "engines run only on the GPU they were built for; keep the ONNX file that the "
    'engine was built from and set backend: "onnxruntime"',
    "dali": "decode and resize in a Python model or a Naiad pipeline, as `image` does",
    "fil": 'export the forest to ONNX (skl2onnx, onnxmltools) and set backend: "onnxruntime"',
    "caffe2": 'export the model to ONNX and set backend: "onnxruntime"',
    "vllm": "serve it in NVIDIA's vLLM container",
    "tensorrtllm": "serve it in NVIDIA's TensorRT-LLM container",
}
_KINDS: Final = ("input", "output")


def check_config(config: ModelConfig, *, cpu: bool = False) -> Iterator[Finding]:
    """Check a config, regardless of the files beside it; with ``cpu`` for ``--device cpu``."""
    yield from _check_names(config)
    yield from _check_backend(config)
    for kind, tensors in zip(_KINDS, (config.inputs, config.outputs), strict=True):
        yield from _check_tensors(config, kind, tensors)
    yield from _check_batching(config)
    yield from _check_instances(config)
    if not cpu and (problem := device_problem(config)):
        yield error(problem)
    yield from _check_cache(config)


def is_pipeline(config: ModelConfig) -> bool:
    """Return True if the model is a Naiad pipeline."""
    return PIPELINE_PARAMETER in config.parameters


def _is_saved_model(config: ModelConfig) -> bool:
    """Return True if Triton completes all that a config may leave out."""
    return config.platform == "tensorflow_savedmodel"


def _check_names(config: ModelConfig) -> Iterator[Finding]:
    folder = config.path.name
    if config.name != folder:
        yield error(
            f"{CONFIG}: name is {config.name!r} but the folder is {folder!r}; they must be equal"
        )


def _check_backend(config: ModelConfig) -> Iterator[Finding]:
    if not config.backend:
        yield error(
            f"{CONFIG}: backend is missing, and cannot be inferred from platform "
            f"({config.platform!r}) or the model's files"
        )
        return
    here = {"python", "ensemble", *OWN_BACKENDS}
    if config.backend in here:
        return
    field = f"backend is {config.backend!r}"
    if config.platform and not config.message.backend:
        field = f"platform is {config.platform!r}"
    instead = _INSTEAD.get(config.backend)
    if instead is not None:
        yield error(f"{CONFIG}: {field}, which the embedded engine does not have: {instead}")
    elif any(config.path.rglob(f"libtriton_{config.backend}.so")):
        yield warning(f"{CONFIG}: {field}, the model's own backend, which is not checked")
    else:
        yield error(
            f"{CONFIG}: {field}, which the embedded engine does not have; it has "
            f"{', '.join(sorted(here))}"
        )


def _check_tensors(
    config: ModelConfig, kind: str, tensors: Sequence[TensorConfig]
) -> Iterator[Finding]:
    if not tensors and config.backend in ("python", "ensemble") and not completes_itself(config):
        # Triton 2.51 loads a model.py without inputs or outputs, but not an ensemble.
        found = error if config.backend == "ensemble" else warning
        yield found(f"{CONFIG}: {kind} is missing; give the name, data_type and dims of each")
    first: dict[str, str] = {}
    entries = config.message.input if kind == "input" else config.message.output
    for tensor, entry in zip(tensors, entries, strict=True):
        where = f"{CONFIG}: {tensor.field}"
        if not tensor.name:
            yield error(f"{where}.name is missing")
        elif tensor.name in first:
            yield error(f"{where}.name is {tensor.name!r}, the same as {first[tensor.name]}.name")
        first.setdefault(tensor.name, tensor.field)
        if not tensor.dtype and not _is_saved_model(config):
            yield error(f"{where}.data_type is missing; give one, such as TYPE_FP32")
        if not entry.dims and not _is_saved_model(config):
            yield error(f"{where}.dims is missing; use -1 for any size")
        for size in entry.dims:
            if size < 1 and size != -1:
                yield error(f"{where}.dims has {size}; sizes must be 1 or more, or -1 for any")


def _check_batching(config: ModelConfig) -> Iterator[Finding]:
    message, largest = config.message, config.max_batch_size
    where = f"{CONFIG}: max_batch_size is {largest}"
    if largest < 0:
        yield error(f"{where}; it must be 0 (no batch dimension) or the maximum batch size")
    batches = message.HasField("dynamic_batching")
    merged = batches or message.HasField("sequence_batching")
    for size in message.dynamic_batching.preferred_batch_size:
        if size > max(largest, 0):
            yield error(
                f"{CONFIG}: dynamic_batching.preferred_batch_size has {size}, but max_batch_size "
                f"is {largest}"
            )
    if is_pipeline(config) or config.backend == "ensemble":
        if batches and is_pipeline(config):
            yield warning(
                f"{CONFIG}: dynamic_batching has no effect on a pipeline, which Naiad batches; "
                f"limit its queue with the parameter queue_capacity"
            )
    elif largest > 1 and not merged and not _is_saved_model(config):
        yield warning(
            f"{where} without dynamic_batching: clients may send batches, but requests are not "
            f"merged; add dynamic_batching {{ }}"
        )
    elif largest == 0 and batches:
        yield warning(
            f"{where} with dynamic_batching: requests are queued but not merged, since they have "
            f"no batch dimension"
        )


def _check_instances(config: ModelConfig) -> Iterator[Finding]:
    for number, group in enumerate(config.message.instance_group):
        field = f"{CONFIG}: instance_group[{number}]"
        if group.rate_limiter.resources:
            yield warning(
                f"{field}.rate_limiter has no effect without --triton-option="
                f"--rate-limit=execution_count"
            )
        if group.count > 1 and is_pipeline(config):
            yield error(
                f"{field}.count is {group.count}; a pipeline has one instance, and the parameter "
                f"instances sets the number of its workers"
            )


def _check_cache(config: ModelConfig) -> Iterator[Finding]:
    if not config.message.response_cache.enable:
        return
    if is_pipeline(config) or DIMS_PARAMETER in config.parameters:
        yield error(
            f"{CONFIG}: response_cache.enable is true, but Triton's cache gives wrong answers for "
            f"models that Naiad batches (it caches errors as empty answers); such models refuse it"
        )
    else:
        yield warning(
            f"{CONFIG}: response_cache.enable works only with --response-cache SIZE; errors of "
            f"Python models are also cached, as empty answers (Triton 2.51)"
        )
