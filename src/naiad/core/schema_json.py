"""Schemas as JSON, which a served model's configuration carries: names, units, bounds and help.

Clients of any kind read from it what Triton's own metadata cannot say.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final, cast

from naiad.core.schema import Schema, Tensor
from naiad.errors import SchemaError

SCHEMA_PARAMETER: Final = "naiad_schema"
"""Parameter of a model's configuration: its inputs and outputs, by :func:`schema_text`."""

_PAIRS: Final = ("dims", "index_into", "declared")
_GIVEN: Final = tuple(one for one in fields(Tensor) if one.init)


def schema_text(inputs: Schema, outputs: Schema) -> str:
    """Return inputs and outputs as JSON: for each tensor what it declares, without defaults."""
    both = {"inputs": inputs, "outputs": outputs}
    return json.dumps(
        {kind: {name: _json(tensor) for name, tensor in of.items()} for kind, of in both.items()}
    )


def read_schemas(text: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the inputs and the outputs of :func:`schema_text`.

    Raises:
        SchemaError: the text is something else; it may be of a later version.
    """
    try:
        found: Any = json.loads(text)
        return tuple(  # pyright: ignore[reportReturnType]
            {name: _tensor(about) for name, about in found[kind].items()}
            for kind in ("inputs", "outputs")
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, SchemaError) as error:
        raise SchemaError(f"{text[:100]!r} is not the schema of a model: {error}") from None


def _json(tensor: Tensor) -> dict[str, Any]:
    given = {one.name: (getattr(tensor, one.name), one.default) for one in _GIVEN}
    return {
        name: value.decode("latin-1") if isinstance(value, bytes) else value
        for name, (value, default) in given.items()
        if value != default
    }


def _tensor(about: Mapping[str, Any]) -> Tensor:
    values = dict(about)
    for name in _PAIRS:
        if isinstance(values.get(name), list):
            values[name] = tuple(values[name])
    if categories := cast("Mapping[str, str] | None", values.get("categories")):
        values["categories"] = {int(value): label for value, label in categories.items()}
    if isinstance(default := values.get("default"), str):
        values["default"] = default.encode("latin-1")
    return Tensor(**values)
