"""The inputs, outputs and model card in a served model's configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One tensor of a model: its datatype on the wire and its dims, -1 for any size.

    ``dims`` has no batch dimension, as in ``config.pbtxt``.
    """

    name: str
    datatype: str
    dims: tuple[int, ...]
    optional: bool = False


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model's tensors by name, its largest batch (0: it has no batch dimension), and its card.

    The ``card`` is the model card: the parameters in the configuration, by name.
    """

    name: str
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    max_batch_size: int = 0
    card: Mapping[str, str] = field(default_factory=dict[str, str])

    def why_left_out(self, output: str) -> str:
        """Return why the model lacks an output that others of its kind have; "" if unknown.

        The card has the reasons as ``left_out``, a JSON object by output.
        """
        try:
            reasons = json.loads(self.card.get("left_out", "{}"))
        except ValueError:
            return ""
        return str(reasons.get(output, "")) if isinstance(reasons, dict) else ""

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> ModelSpec:
        """Read a model configuration (the JSON form of Triton's ``ModelConfig``).

        Metadata would not do: it does not say which inputs are optional.
        """
        return cls(
            name=config["name"],
            inputs=_tensors(config["input"]),
            outputs=_tensors(config["output"]),
            max_batch_size=config["max_batch_size"],
            card=card_of(config),
        )


def card_of(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the model card in a model configuration."""
    parameters: Mapping[str, Mapping[str, Any]] = config.get("parameters", {})
    return {name: str(value.get("string_value", "")) for name, value in parameters.items()}


def _tensors(entries: list[dict[str, Any]]) -> dict[str, TensorSpec]:
    return {
        entry["name"]: TensorSpec(
            name=entry["name"],
            datatype=_datatype(entry["data_type"]),
            dims=tuple(entry["dims"]),
            optional=entry.get("optional", False),
        )
        for entry in entries
    }


def _datatype(config_name: str) -> str:
    name = config_name.removeprefix("TYPE_")
    return "BYTES" if name == "STRING" else name
