"""The tool of a model without a task: small tensors as lists in JSON."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from naiad.client import Client
from naiad.client.spec import ModelSpec
from naiad.core.schema import Array
from naiad.errors import InvalidInput
from naiad.openapi.tensors import described, nested_schema
from naiad.tasks.tensors import tensor_values
from naiad.ui.tools import Json, Reply, Watch, check_names, integer

MOST_VALUES: Final = 100_000
"""Numbers and texts in a request, and in an answer."""

_INPUTS, _OUTPUTS, _MAX_VALUES = "inputs", "outputs", "max_values"
_SHOWN: Final = 8
_TIMEOUT: Final = 300.0


class TensorTool:
    """The tool of one model; a `naiad.ui.tools.Tool`."""

    def __init__(self, client: Client, model: str) -> None:
        """Ask ``model`` for its configuration.

        Raises:
            Unavailable: the server cannot be reached.
        """
        self.name = model
        self._client = client
        self._spec = ModelSpec.from_config(client.config(model))

    def title(self) -> str:
        """Return the model's name."""
        return self.name

    def about(self) -> str:
        """Return what the model takes and gives, and the notice."""
        inputs, outputs = described(self._spec)
        given = "; ".join(f"{one.name}: {nested_schema(one)['description']}" for one in outputs)
        names = ", ".join(one.name for one in inputs)
        return "\n".join(
            filter(
                None,
                [
                    f"Ask the model {self.name} about small tensors, given as lists: {names}.",
                    f"Returns {given}",
                    self._spec.card.get("notice", ""),
                ],
            )
        )

    def takes(self) -> Json:
        """Return the schema of a call: the inputs by name, and the wanted outputs."""
        inputs, outputs = described(self._spec)
        return {
            "type": "object",
            "required": [_INPUTS],
            "additionalProperties": False,
            "properties": {
                _INPUTS: {
                    "type": "object",
                    "description": f"Tensors by name; at most {MOST_VALUES:,} values.",
                    "required": [one.name for one in inputs if not one.optional],
                    "properties": {one.name: nested_schema(one) for one in inputs},
                    "additionalProperties": False,
                },
                _OUTPUTS: {
                    "type": "array",
                    "items": {"type": "string", "enum": [one.name for one in outputs]},
                    "description": "The wanted outputs; by default all.",
                },
                _MAX_VALUES: {
                    "type": "integer",
                    "default": 1_000,
                    "minimum": 0,
                    "maximum": MOST_VALUES,
                    "description": "Maximum number of values of each output.",
                },
            },
        }

    def gives(self) -> Json:
        """Return the schema of the answer: for each output its values, or the first of them."""
        output = {
            "type": "object",
            "required": ["name", "datatype", "shape", "values"],
            "properties": {
                "name": {"type": "string"},
                "datatype": {"type": "string"},
                "shape": {"type": "array", "items": {"type": "integer"}},
                "values": {"description": "Lists in lists, by shape; flat if some are left out."},
                "values_left_out": {"type": "integer"},
            },
        }
        return {
            "type": "object",
            "required": ["model", "outputs"],
            "properties": {
                "model": {"type": "string"},
                "notice": {"type": "string"},
                "outputs": {"type": "array", "items": output},
            },
        }

    def call(self, arguments: Mapping[str, Any], watch: Watch) -> Reply:
        """Return the model's outputs.

        Raises:
            InvalidInput: an argument or a tensor is wrong; says which.
            NaiadError: the model did not answer.
        """
        schema = self.takes()
        check_names(arguments, schema)
        most = integer(arguments, schema, _MAX_VALUES)
        given, wanted = arguments.get(_INPUTS), arguments.get(_OUTPUTS)
        if not isinstance(given, dict):
            raise InvalidInput(f"{_INPUTS} must be an object: tensors by name")
        if wanted is not None and not _are_names(wanted):
            raise InvalidInput(f"{_OUTPUTS} must be a list of names")
        if sum(1 for _ in _leaves(given)) > MOST_VALUES:
            raise InvalidInput(f"over {MOST_VALUES:,} values; use a client of Naiad for large ones")
        tensors = {name: tensor_values(value) for name, value in given.items()}
        found = self._client.infer(self.name, tensors, outputs=wanted, timeout=_TIMEOUT)
        told = [self._told(name, array, most) for name, array in found.items()]
        notice = self._spec.card.get("notice", "")
        lines = [notice] if notice else []
        for one, array in zip(told, found.values(), strict=True):
            first = ", ".join(str(_plain(value)) for value in array.flat[:_SHOWN])
            more = ", ..." if array.size > _SHOWN else ""
            lines.append(f"{one['name']}: {one['datatype']} {one['shape']}: {first}{more}")
        return Reply("\n".join(lines), {"model": self.name, "notice": notice, "outputs": told})

    def _told(self, name: str, array: Array, most: int) -> Json:
        told: Json = {
            "name": name,
            "datatype": self._spec.outputs[name].datatype,
            "shape": [*array.shape],
        }
        if array.size <= most:
            return {**told, "values": _nested(array.tolist())}
        first = [_plain(value) for value in array.ravel()[:most].tolist()]
        return {**told, "values": first, "values_left_out": array.size - most}


def _leaves(value: Any) -> Iterator[Any]:
    """Yield the values in lists and objects, at any depth."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)
        else:
            yield one


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _nested(value: Any) -> Any:
    return [_nested(one) for one in value] if isinstance(value, list) else _plain(value)


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: None for one that is not finite."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"b64": base64.b64encode(value).decode()}
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
