"""Tensors of a model without a task: written as JSON, or in an .npz file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from zipfile import BadZipFile

import numpy as np

from naiad.client.dtypes import numpy_dtype
from naiad.errors import InvalidInput

Json = dict[str, Any]

_FREE: Final = 3  # elements along a dimension of any length
_SHOWN: Final = 200  # elements of a tensor that are written out


def example_tensors(metadata: Json, *, batched: bool = False) -> dict[str, Any]:
    """Return a tensor of zeros, or of texts, for each input of a model."""
    tensors: dict[str, Any] = {}
    for one in metadata["inputs"]:
        shape = [int(size) if int(size) >= 0 else _FREE for size in one["shape"]]
        if one["datatype"] == "BYTES":
            tensors[one["name"]] = np.full(shape, "text", object)
        else:
            tensors[one["name"]] = np.zeros(shape, numpy_dtype(one["datatype"]))
    return tensors


def as_json(tensors: Mapping[str, Any]) -> str:
    """Return tensors as a person edits them: a line each."""
    lines = [f"  {json.dumps(name)}: {json.dumps(_listed(a))}" for name, a in tensors.items()]
    return "{\n" + ",\n".join(lines) + "\n}"


def from_json(text: str, metadata: Json) -> dict[str, Any]:
    """Return the tensors in a text, in the dtypes of the model's inputs.

    Raises:
        InvalidInput: it is not JSON, or a tensor is unknown, ragged or of another type.
    """
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"the tensors are not JSON: {error}") from None
    if not isinstance(given, dict):
        raise InvalidInput('the tensors must be a JSON object such as {"x": [[1, 2], [3, 4]]}')
    kinds = {one["name"]: one["datatype"] for one in metadata["inputs"]}
    tensors: dict[str, Any] = {}
    for name, value in given.items():
        if name not in kinds:
            raise InvalidInput(f"unknown input {name!r}; inputs: {', '.join(kinds)}")
        tensors[name] = _array(name, value, kinds[name])
    return tensors


def from_npz(path: Path) -> dict[str, Any]:
    """Return the arrays of an .npz file; nothing in it is run.

    Raises:
        InvalidInput: it is not such a file, or has Python objects.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, AttributeError, BadZipFile) as error:
        raise InvalidInput(f"{path.name} is not an .npz file of arrays: {error}") from None


def output_rows(outputs: Mapping[str, Any]) -> list[list[str]]:
    """Return a row for each output: its name, dtype, shape and first values."""
    return [
        [name, str(array.dtype), " × ".join(map(str, array.shape)) or "one value", _first(array)]
        for name, array in outputs.items()
    ]


def output_arrays(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return outputs as an .npz file can hold them, texts as Unicode."""
    return {
        name: np.array([_text(one) for one in array.flat], str).reshape(array.shape)
        if array.dtype == object
        else array
        for name, array in outputs.items()
    }


def _array(name: str, value: Any, datatype: str) -> Any:
    try:
        if datatype == "BYTES":
            shaped = np.array(value, object)
            return np.array([str(one) for one in shaped.flat], object).reshape(shaped.shape)
        return np.array(value, numpy_dtype(datatype))
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidInput(f"{name} is not a tensor of {datatype}: {error}") from None


def _listed(array: Any) -> Any:
    return array.tolist()


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _first(array: Any) -> str:
    flat: Sequence[Any] = array.reshape(-1)[:_SHOWN].tolist()
    shown = ", ".join(
        f"{one:.6g}" if isinstance(one, float) else _text(one)[:80] for one in flat[:12]
    )
    return f"{shown}, …" if array.size > 12 else shown
