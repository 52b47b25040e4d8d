"""Completion of a config from the model file, as in NVIDIA's backends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from google.protobuf import json_format

from naiad.triton.backends.signature import Port, Signature
from naiad.triton.model_config import ModelConfig, model_config_of

DEFAULT_MAX_BATCH_SIZE: Final = 4
"""Value for models that can be batched but set no maximum."""


def needs_completion(config: ModelConfig) -> bool:
    """Return True if the model file may add to a config.

    That is one without inputs or outputs; and for a SavedModel, as in NVIDIA's backend, also one
    without a batch size, without a scheduler for its batches, or with a tensor without dtype or
    dims.
    """
    if not config.inputs or not config.outputs:
        return True
    if config.backend != "tensorflow" or config.platform == "tensorflow_graphdef":
        return False
    message = config.message
    merged = message.HasField("dynamic_batching") or message.HasField("sequence_batching")
    return (
        config.max_batch_size == 0
        or (config.max_batch_size > 1 and not merged)
        or any(not t.dtype for t in (*config.inputs, *config.outputs))
        or any(not entry.dims for entry in (*message.input, *message.output))
    )


def completed(config: ModelConfig, signature: Signature) -> ModelConfig:
    """Return a config as Triton completes it from the signature of its model file."""
    said = json_format.MessageToDict(config.message, preserving_proto_field_name=True)
    complete(said, signature)
    return model_config_of(said, config.path)


def complete(config: dict[str, Any], signature: Signature) -> None:
    """Add inputs, outputs, ``max_batch_size`` and ``dynamic_batching`` if they are missing.

    A config with inputs and outputs is left unchanged, except for a SavedModel; so is one whose
    model file does not declare enough (TorchScript, GraphDef).

    Args:
        config: Triton's configuration as a dictionary, changed in place.
        signature: the signature of the model file.
    """
    if signature.kind == "graphdef":
        return
    if signature.kind == "savedmodel":
        _complete_saved(config, signature)
        return
    if config.get("input") and config.get("output"):
        return
    ports = (*(signature.inputs or ()), *(signature.outputs or ()))
    if not ports or any(port.dtype is None or port.shape is None for port in ports):
        return
    said = any(config.get(kind) for kind in ("input", "output"))
    if not config.get("max_batch_size") and not said and all(_varies(port) for port in ports):
        config["max_batch_size"] = DEFAULT_MAX_BATCH_SIZE
    batched = config.get("max_batch_size", 0) > 0
    if not config.get("input"):
        config["input"] = [_entry(port, batched) for port in signature.inputs or ()]
    if not config.get("output"):
        config["output"] = [_entry(port, batched) for port in signature.outputs or ()]
    _schedule(config)


def _complete_saved(config: dict[str, Any], signature: Signature) -> None:
    """Complete by the rules of NVIDIA's TensorFlow backend.

    A model whose tensors all begin with an open dimension has a batch dimension if the config has
    no tensors, or leaves that dimension out of theirs. Each missing dtype and shape is added, and
    each missing input; outputs only if the config has none.
    """
    inputs, outputs = signature.inputs or (), signature.outputs or ()
    batches = all(port.shape is None or _varies(port) for port in (*inputs, *outputs)) and (
        _leaves_batch_out(config, (*inputs, *outputs))
    )
    if not config.get("max_batch_size") and batches:
        config["max_batch_size"] = DEFAULT_MAX_BATCH_SIZE
    batched = config.get("max_batch_size", 0) > 0
    for kind, ports in (("input", inputs), ("output", outputs)):
        entries: list[dict[str, Any]] = config.setdefault(kind, [])
        said = {entry.get("name"): entry for entry in entries}
        if kind == "input" or not said:
            missing = [port for port in ports if port.name not in said]
            # A shape that the file does not declare must come from the config.
            if all(port.shape is not None for port in missing):
                entries += [_entry(port, batched) for port in missing]
        for port in ports:
            if port.name in said and port.shape is not None:
                _fill(said[port.name], _entry(port, batched))
        if not entries:
            del config[kind]
    _schedule(config)


def _leaves_batch_out(config: dict[str, Any], ports: Sequence[Port]) -> bool:
    entries = [*config.get("input", []), *config.get("output", [])]
    shapes = {port.name: port.shape for port in ports}
    hints: set[bool] = set()
    weak = not entries
    for entry in entries:
        shape = shapes.get(entry.get("name"))
        if shape is None:
            continue
        dims = entry["reshape"].get("shape", []) if "reshape" in entry else entry.get("dims")
        if not dims and "reshape" not in entry:
            weak = True
        else:
            hints.add(len(dims) == len(shape) - 1)
    return hints == {True} if hints else weak


def _fill(entry: dict[str, Any], whole: dict[str, Any]) -> None:
    if entry.get("data_type", "TYPE_INVALID") == "TYPE_INVALID":
        entry["data_type"] = whole["data_type"]
    if not entry.get("dims"):
        entry["dims"] = whole["dims"]
        if "reshape" in whole:
            entry["reshape"] = whole["reshape"]


def _schedule(config: dict[str, Any]) -> None:
    if config.get("max_batch_size", 0) > 1 and not (
        "sequence_batching" in config or "dynamic_batching" in config
    ):
        config["dynamic_batching"] = {}


def _varies(port: Port) -> bool:
    return port.shape is not None and port.shape[:1] == (-1,)


def _entry(port: Port, batched: bool) -> dict[str, Any]:
    dtype = "STRING" if port.dtype == "BYTES" else port.dtype
    dims = list((port.shape or ())[1 if batched else 0 :])
    entry: dict[str, Any] = {"name": port.name, "data_type": f"TYPE_{dtype}", "dims": dims or [1]}
    if not dims and batched:
        entry["reshape"] = {"shape": []}  # Triton does not accept a tensor without dims
    return entry
