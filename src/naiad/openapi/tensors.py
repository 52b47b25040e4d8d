"""Tensors in JSON, as KServe v2 has them: their JSON Schema, and arrays written so."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from naiad.client.spec import ModelSpec, TensorSpec
from naiad.core.schema import REQUESTS, Array, Schema, Tensor
from naiad.core.schema_json import SCHEMA_PARAMETER, read_schemas
from naiad.errors import InvalidInput, SchemaError

Json = dict[str, Any]

_INTEGERS: Final = {
    f"{sign}INT{bits}": (0 if sign else -(2 ** (bits - 1)), 2 ** (bits - (not sign)) - 1)
    for sign in ("", "U")
    for bits in (8, 16, 32, 64)
}


@dataclass(frozen=True, slots=True)
class Described:
    """A tensor as a document describes it.

    Attributes:
        name: of the tensor.
        datatype: on the wire, such as ``FP32``.
        dims: sizes, names, and None for a size without a name.
        optional: a request may omit it.
        declared: what its pipeline says beyond that, if it is one of Naiad's.
    """

    name: str
    datatype: str
    dims: tuple[int | str | None, ...]
    optional: bool = False
    declared: Tensor | None = None

    @property
    def in_json(self) -> bool:
        """Whether Triton takes and gives its values as JSON: all but FP16 and BF16."""
        return self.datatype not in ("FP16", "BF16")


def described(spec: ModelSpec) -> tuple[tuple[Described, ...], tuple[Described, ...]]:
    """Return the inputs and outputs of a served model."""
    inputs: Schema = {}
    outputs: Schema = {}
    if text := spec.card.get(SCHEMA_PARAMETER):
        with contextlib.suppress(SchemaError):  # of a later version: what all models have remains
            inputs, outputs = read_schemas(text)
    return (
        tuple(_described(spec, one, inputs.get(one.name)) for one in spec.inputs.values()),
        tuple(_described(spec, one, outputs.get(one.name)) for one in spec.outputs.values()),
    )


def tensor_schema(tensor: Described, *, answered: bool = False) -> Json:
    """Return the JSON Schema of a tensor in a request, or in an answer.

    An answer has its values in one flat list; a request may nest them as its shape says.
    """
    properties: Json = {
        "name": {"const": tensor.name},
        "datatype": {"const": tensor.datatype},
        "shape": _shape(tensor.dims),
        "parameters": {"type": "object"},
    }
    if tensor.in_json:
        properties["data"] = {"type": "array", "items": _values(tensor, answered=answered)}
    schema: Json = {
        "type": "object",
        "title": tensor.name,
        "properties": properties,
        "required": [name for name in properties if name != "parameters"],
        "x-dimensions": [one if one is not None else "any" for one in tensor.dims],
    }
    if text := _about(tensor):
        schema["description"] = text
    if tensor.declared is not None and tensor.declared.unit:
        schema["x-unit"] = tensor.declared.unit
    return schema


def nested_schema(tensor: Described) -> Json:
    """Return the JSON Schema of a tensor's values as lists in lists, one for each dimension."""
    schema = _values(replace(tensor, dims=()), answered=False)
    for size in reversed(tensor.dims):
        schema = {"type": "array", "items": schema}
        if isinstance(size, int):
            schema |= {"minItems": size, "maxItems": size}
    dims = ", ".join("any" if one is None else str(one) for one in tensor.dims)
    declared = tensor.declared
    texts = [f"{tensor.datatype} [{dims}]"]
    if declared is not None:
        texts += [declared.doc.rstrip("."), declared.unit and f"in {declared.unit}"]
    return {**schema, "description": "; ".join(filter(None, texts)) + "."}


def tensor_json(name: str, datatype: str, array: Array) -> Json:
    """Return an array as KServe v2 has it in JSON.

    Raises:
        InvalidInput: its values have no form in JSON: bytes that are not UTF-8, NaN.
    """
    values: Sequence[Any] = array.ravel().tolist()
    try:
        data = [one.decode() if isinstance(one, bytes) else one for one in values]
    except UnicodeDecodeError:
        raise InvalidInput(f"{name} has bytes that are not UTF-8, which JSON cannot hold") from None
    if any(isinstance(one, float) and not math.isfinite(one) for one in data):
        raise InvalidInput(f"{name} has values that are not finite, which JSON cannot hold")
    return {"name": name, "datatype": datatype, "shape": [*array.shape], "data": data}


def request_json(spec: ModelSpec, arrays: Mapping[str, Array]) -> Json:
    """Return a request in JSON.

    Raises:
        InvalidInput: an array has no form in JSON, or is no input.
    """
    made: list[Json] = []
    for name, array in arrays.items():
        datatype = spec.inputs[name].datatype
        if datatype in ("FP16", "BF16"):
            raise InvalidInput(f"{name} is {datatype}, which Triton takes as binary data only")
        made.append(tensor_json(name, datatype, np.asarray(array)))
    return {"inputs": made}


def _described(spec: ModelSpec, one: TensorSpec, declared: Tensor | None) -> Described:
    if declared is not None and declared.triton == one.datatype:
        dims = tuple(1 if dim == REQUESTS else dim for dim in declared.dims)
        return Described(one.name, one.datatype, dims, one.optional, declared)
    whole = (-1, *one.dims) if spec.max_batch_size else one.dims
    names = ["batch" if spec.max_batch_size and not axis else None for axis in range(len(whole))]
    dims = tuple(name if size == -1 else size for name, size in zip(names, whole, strict=True))
    return Described(one.name, one.datatype, dims, one.optional)


def _shape(dims: Sequence[int | str | None]) -> Json:
    # Not prefixItems with fixed sizes, which few generators of clients know: see x-dimensions.
    return {
        "type": "array",
        "items": {"type": "integer", "minimum": 0},
        "minItems": len(dims),
        "maxItems": len(dims),
    }


def _values(tensor: Described, *, answered: bool) -> Json:
    """Return the schema of one value, or of a nested list of them."""
    declared = tensor.declared
    value: Json
    if tensor.datatype == "BYTES":
        value = {"type": "string"}
    elif tensor.datatype == "BOOL":
        value = {"type": "boolean"}
    elif tensor.datatype in _INTEGERS:
        low, high = _INTEGERS[tensor.datatype]
        value = {"type": "integer", "minimum": low, "maximum": high}
    else:
        value = {"type": "number"}
    if declared is not None and not answered:
        if declared.categories:
            value["enum"] = sorted(declared.categories)
        if declared.minimum is not None:
            value["minimum"] = declared.minimum
        if declared.maximum is not None:
            value["maximum"] = declared.maximum
        if declared.index_into is not None:
            value["minimum"] = 0
    # A list in a list, for each dimension but the first.
    return value if answered or len(tensor.dims) < 2 else {"anyOf": [value, {"type": "array"}]}


def _about(tensor: Described) -> str:
    declared = tensor.declared
    if declared is None:
        return "" if tensor.in_json else "Binary data only: JSON has no such numbers."
    parts = [declared.doc.rstrip(".")] if declared.doc else []
    if declared.unit:
        parts.append(f"in {declared.unit}")
    if targets := declared.index_targets():
        parts.append(f"positions in {' and '.join(dict.fromkeys(targets))}")
    if declared.categories:
        named = (f"{value}: {label}" for value, label in declared.categories.items())
        parts.append(", ".join(named))
    if not tensor.in_json:
        parts.append("binary data only: JSON has no such numbers")
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}." if text else ""
