"""A model's configuration in plain words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from naiad.core.fields import described
from naiad.core.schema_json import SCHEMA_PARAMETER
from naiad.core.settings import ModelSettings
from naiad.hub_card import CARD_PARAMETER
from naiad.native.library import BACKEND
from naiad.triton.config import PIPELINE_PARAMETER
from naiad.triton.model_config import ModelConfig, TensorConfig

if TYPE_CHECKING:
    from naiad.core.pipeline import Pipeline
    from naiad.core.schema import Tensor

_BACKENDS: Final = {
    BACKEND: "a Naiad pipeline",
    "python": "the model's own Python code, model.py",
    "pytorch": "a TorchScript, torch.export or AOTInductor file, run by torch",
    "onnxruntime": "an ONNX file, run by ONNX Runtime",
    "openvino": "an OpenVINO or ONNX file, run by OpenVINO",
    "tensorflow": "a GraphDef or SavedModel, run by TensorFlow",
    "ensemble": "an ensemble: a chain of other models, inside the server",
}
_ABOUT: Final = {
    PIPELINE_PARAMETER: "the pipeline's class",
    SCHEMA_PARAMETER: "names, units and bounds of its tensors, for clients",
    **{one.name: described(one).rstrip(".") for one in fields(ModelSettings)},
    "settings": "the pipeline's own settings",
    "threads": "torch threads of each worker",
    "weights": "the file or folder of weights, in the version's folder",
    "budget": "maximum size of a merged batch",
    "cost": "the cost of a batch, measured by naiad tune",
    CARD_PARAMETER: "the model card of the weights",
    "notice": "a notice about the weights for users",
    "naiad_dims": "names of dimensions: Naiad merges requests",
    "naiad_budget": "maximum size of a merged batch",
    "naiad_limit": "maximum size of a request",
    "INFERENCE_MODE": "true if gradients are off",
}


@dataclass(frozen=True, slots=True)
class Section:
    """A section of the description: a title and lines."""

    title: str
    lines: tuple[str, ...]


def describe(config: ModelConfig) -> list[Section]:
    """Describe a config, section by section."""
    parts = (
        ("kind", _kind(config)),
        ("inputs", [_tensor(config, tensor, "input") for tensor in config.inputs]),
        ("outputs", [_tensor(config, tensor, "output") for tensor in config.outputs]),
        ("sizes", list(_sizes(config))),
        ("steps", list(_steps(config))),
        ("batching", list(_batching(config))),
        ("instances", list(_instances(config))),
        ("versions", [_versions(config.message.version_policy)]),
        ("cache", list(_cache(config))),
        ("parameters", list(_parameters(config.parameters))),
    )
    return [Section(title, tuple(lines)) for title, lines in parts if lines]


def describe_pipeline(pipeline: Pipeline) -> list[Section]:
    """Describe what only the pipeline's code declares: dimensions, budget and limits."""
    schema = {**pipeline.inputs, **pipeline.outputs}
    bounds = (
        ("one merged batch holds up to", pipeline.budget),
        ("one request may hold up to", pipeline.limit),
        ("the queue may hold up to", pipeline.waiting),
    )
    return [
        Section("dimensions", tuple(_named(name, tensor) for name, tensor in schema.items())),
        Section(
            "budget and limit",
            tuple(
                f"{what} {', '.join(f'{count:,} {dim}' for dim, count in sizes.items())}"
                for what, sizes in bounds
                if sizes
            ),
        ),
    ]


def _named(name: str, tensor: Tensor) -> str:
    text = f"{name}: ({', '.join(map(str, tensor.dims))})"
    text += f", which counts {tensor.counts}" if tensor.counts else ""
    return text if tensor.index_into is None else f"{text}, positions in {tensor.index_into}"


def _kind(config: ModelConfig) -> list[str]:
    if PIPELINE_PARAMETER in config.parameters:
        return ["a Naiad pipeline: queued and batched in Triton, run in worker processes"]
    about = _BACKENDS.get(config.backend, "")
    name = config.backend or config.platform or "unknown"
    return [f"backend {name}{f': {about}' if about else ''}"]


def _tensor(config: ModelConfig, tensor: TensorConfig, kind: str) -> str:
    entries = config.message.input if kind == "input" else config.message.output
    (entry,) = (entry for entry in entries if entry.name == tensor.name)
    dims = [*entry.dims]
    whole = [-1, *dims] if config.max_batch_size > 0 else dims
    text = f"{tensor.name}: {tensor.dtype} {_shape(whole)}"
    if tensor.dtype == "BYTES":
        text += ", each element is text or bytes of any length"
    if config.max_batch_size > 0:
        text += f"; the first size is the batch, 1 to {config.max_batch_size}"
    if tensor.optional:
        text += "; may be omitted"
    if entry.HasField("reshape"):
        text += f"; the model sees {_shape([*entry.reshape.shape])}"
    if kind == "output" and entry.label_filename:
        text += f"; its classes have names ({entry.label_filename})"
    return text


def _sizes(config: ModelConfig) -> Iterator[str]:
    if any(-1 in entry.dims for entry in (*config.message.input, *config.message.output)):
        yield "sizes written as any (-1 in config.pbtxt) may differ between requests"


def _shape(sizes: Sequence[int]) -> str:
    return f"[{', '.join('any' if size == -1 else str(size) for size in sizes)}]"


def _steps(config: ModelConfig) -> Iterator[str]:
    for step in config.message.ensemble_scheduling.step:
        into = ", ".join(f"{tensor} as {name}" for name, tensor in sorted(step.input_map.items()))
        out = ", ".join(f"{tensor} from {name}" for name, tensor in sorted(step.output_map.items()))
        version = "" if step.model_version < 1 else f" version {step.model_version}"
        yield f"{step.model_name}{version} takes {into}; returns {out}"


def _batching(config: ModelConfig) -> Iterator[str]:
    message = config.message
    if config.max_batch_size > 0:
        yield f"a request is a batch of up to {config.max_batch_size}, along the first dimension"
    else:
        yield "requests have no batch dimension (max_batch_size is 0)"
    if PIPELINE_PARAMETER in config.parameters or "naiad_dims" in config.parameters:
        yield "Naiad merges concurrent requests, within the budget"
    elif message.HasField("dynamic_batching") and config.max_batch_size > 1:
        dynamic = message.dynamic_batching
        yield f"Triton merges concurrent requests into batches of up to {config.max_batch_size}"
        if dynamic.preferred_batch_size:
            yield f"preferred batches: {', '.join(map(str, dynamic.preferred_batch_size))}"
        if delay := dynamic.max_queue_delay_microseconds:
            yield f"a request waits up to {delay / 1000:g} ms for others"
    elif message.HasField("sequence_batching"):
        yield "requests of one sequence go to the same instance, in order"
    elif config.backend != "ensemble":
        yield "concurrent requests are run one by one"
    if message.HasField("dynamic_batching"):
        yield from _queue(message.dynamic_batching.default_queue_policy)


def _queue(policy: Any) -> Iterator[str]:
    if policy.max_queue_size:
        yield f"up to {policy.max_queue_size} requests wait; more are refused as UNAVAILABLE"
    if policy.default_timeout_microseconds:
        late = "refused" if policy.timeout_action == policy.REJECT else "postponed"
        seconds = policy.default_timeout_microseconds / 1e6
        yield f"a request that waits for longer than {seconds:g} s is {late}"


def _instances(config: ModelConfig) -> Iterator[str]:
    if PIPELINE_PARAMETER in config.parameters:
        count = config.parameters.get("instances")
        yield f"{count} workers share one queue" if count else "one worker per core, one queue"
        return
    for group in config.message.instance_group:
        names = {1: "a GPU", 2: "the CPU", 3: "wherever the model says", 0: "a GPU if there is one"}
        place = names.get(group.kind, "")
        where = f"GPU {', '.join(map(str, group.gpus))}" if group.gpus else place
        each = " each" if len(group.gpus) > 1 else ""
        text = f"{max(1, group.count)}{each} on {where}"
        if group.rate_limiter.resources:
            needed = ", ".join(f"{r.count} of {r.name!r}" for r in group.rate_limiter.resources)
            text += f"; a run needs {needed}, with Triton's rate limiter on"
        yield text


def _versions(policy: Any) -> str:
    if policy.HasField("all"):
        return "all are served, the newest by default"
    if policy.HasField("specific"):
        numbers = ", ".join(map(str, policy.specific.versions))
        return f"only {numbers} served, the newest of them by default"
    count = max(1, policy.latest.num_versions)
    return "only the newest is served" if count == 1 else f"the {count} newest are served"


def _cache(config: ModelConfig) -> Iterator[str]:
    if config.message.response_cache.enable:
        yield "answers are cached for equal requests, if the server has a --response-cache"


def _parameters(parameters: Mapping[str, str]) -> Iterator[str]:
    for key, value in sorted(parameters.items()):
        about = _ABOUT.get(key)
        yield f"{key} = {_brief(value)}{f' ({about})' if about else ''}"


def _brief(value: str) -> str:
    text = json.dumps(value)[1:-1] if "\n" in value else value
    return text if len(text) <= 100 else f"{text[:100]}..."
