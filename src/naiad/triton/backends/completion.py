"""Completion of a config from the model file, as in NVIDIA's ONNX Runtime backend."""

from __future__ import annotations

from typing import Any, Final

from naiad.triton.backends.signature import Port, Signature

DEFAULT_MAX_BATCH_SIZE: Final = 4
"""Value for models that can be batched but set no maximum."""


def complete(config: dict[str, Any], signature: Signature) -> None:
    """Add inputs, outputs, ``max_batch_size`` and ``dynamic_batching`` if they are missing.

    A config with inputs and outputs is left unchanged, as is one whose model file does not declare
    enough (TorchScript).

    Args:
        config: Triton's configuration as a dictionary, changed in place.
        signature: the signature of the model file.
    """
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
