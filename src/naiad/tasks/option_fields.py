"""Options of a task as fields of a form: their types, bounds and help, and their JSON Schema."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from pathlib import PurePath
from typing import Any, Final, Literal, TypeAlias, cast, get_args, get_origin, get_type_hints

from naiad.client.checks import checked_text
from naiad.core.fields import choices, out_of_bounds
from naiad.errors import InvalidInput
from naiad.tasks.task import Json

Kind: TypeAlias = Literal["boolean", "integer", "number", "string", "strings"]

_TYPES: Final[Mapping[Any, Kind]] = {bool: "boolean", int: "integer", float: "number"}
_SCHEMAS: Final[Mapping[Kind, Json]] = {
    **{kind: {"type": kind} for kind in ("boolean", "integer", "number", "string")},
    "strings": {"type": "array", "items": {"type": "string"}},
}


@dataclass(frozen=True, slots=True)
class OptionField:
    """One option.

    Attributes:
        name: its keyword.
        kind: its JSON type; ``strings`` for a list of them.
        help: one sentence.
        default: its value if it is not given, unless it is ``required``.
        required: whether it must be given.
        optional: whether it may be None.
        choices: allowed values; empty if there are others.
        minimum: bound, or None.
        maximum: bound, or None.
    """

    name: str
    kind: Kind
    help: str
    default: Any
    required: bool
    optional: bool
    choices: tuple[Any, ...]
    minimum: float | None
    maximum: float | None

    @property
    def label(self) -> str:
        """The name as people read it: ``top``, ``multi label``."""
        return self.name.replace("_", " ")

    def schema(self) -> Json:
        """Return the JSON Schema of its value."""
        schema: Json = {**_SCHEMAS[self.kind], "description": self.help}
        if self.choices:
            schema["enum"] = [*self.choices, *([None] if self.optional else [])]
        if self.optional:
            schema["type"] = [schema["type"], "null"]
        for key, bound in (("minimum", self.minimum), ("maximum", self.maximum)):
            if bound is not None:
                schema[key] = bound
        if not self.required:
            default: Any = self.default
            schema["default"] = list(default) if isinstance(default, tuple) else default
        return schema


def option_fields(options: type) -> tuple[OptionField, ...]:
    """Return the fields of a dataclass of options that a request takes, in order.

    Those that are paths are left out: a page or a request must not name files of the server's.
    """
    types = get_type_hints(options)
    return tuple(
        _field(one, types[one.name])
        for one in fields(options)
        if "help" in one.metadata
        and not one.metadata.get("display")
        and not _names_file(types[one.name])
    )


def read_options(options: type, given: Mapping[str, Any]) -> Any:
    """Return an instance of ``options`` from plain values, such as those in JSON.

    A text stands for what it means on the command line: ``"a,b"`` for a list of labels.

    Raises:
        InvalidInput: an option is unknown, missing, of another type or out of bounds; says which.
    """
    declared = {one.name: one for one in fields(options)}
    values: dict[str, Any] = {}
    for known in option_fields(options):
        if known.name in given:
            values[known.name] = _read(known, declared[known.name], given[known.name])
        elif known.required:
            raise InvalidInput(f"{known.name} is missing: {known.help}")
    for name in given:
        if name not in values:  # those that are left out, too
            known = ", ".join(one.name for one in option_fields(options))
            raise InvalidInput(f"unknown option {name!r}; options: {known or 'none'}")
    return options(**values)


def _names_file(hint: Any) -> bool:
    """Return whether a type is a path, or has one in it, such as ``tuple[Path, ...] | None``."""
    if isinstance(hint, type) and not get_args(hint):
        return issubclass(hint, PurePath)
    return any(_names_file(arg) for arg in get_args(hint))


def _field(one: Field[Any], hint: Any) -> OptionField:
    arguments = [arg for arg in (hint, *get_args(hint)) if arg is not type(None)]
    allowed = choices(hint)
    known: list[Kind] = [_TYPES[arg] for arg in arguments if arg in _TYPES]
    kind: Kind = known[0] if known else "string"
    if allowed:
        kind = "integer" if isinstance(allowed[0], int) else "string"
    elif any(get_origin(arg) in (Sequence, tuple, list) for arg in arguments):
        kind = "strings"
    default = one.default_factory() if one.default_factory is not MISSING else one.default
    return OptionField(
        one.name,
        kind,
        one.metadata["help"],
        default,
        default is MISSING,
        type(None) in get_args(hint),
        allowed,
        one.metadata.get("min"),
        one.metadata.get("max"),
    )


def _read(known: OptionField, one: Field[Any], value: Any) -> Any:
    if value is None and known.optional:
        return None
    if isinstance(value, str) and (parser := one.metadata.get("parser")) is not None:
        value = parser(value)
    if known.kind == "number" and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not _is(known.kind, value):
        wanted = "a list of strings" if known.kind == "strings" else f"of type {known.kind}"
        raise InvalidInput(f"{known.name} is {value!r}; it must be {wanted}")
    if wrong := out_of_bounds(one, value, known.choices):
        raise InvalidInput(f"{known.name} is {value!r}; it must be {wrong}")
    if known.kind != "strings":
        return checked_text(known.name, value) if isinstance(value, str) else value
    texts = cast("Sequence[str]", value)
    return tuple(checked_text(f"{known.name}[{n}]", text) for n, text in enumerate(texts))


def _is(kind: Kind, value: Any) -> bool:
    match kind:
        case "strings":
            several = isinstance(value, list | tuple)
            return several and all(isinstance(o, str) for o in cast("Sequence[Any]", value))
        case "number":
            return isinstance(value, float) and math.isfinite(value)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case "string":
            return isinstance(value, str)
