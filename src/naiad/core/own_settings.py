"""A pipeline's own settings: the fields of a frozen dataclass and their values."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import is_dataclass, replace
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from naiad.errors import InvalidInput

_NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


def declared(pipeline: Any) -> Any:
    """Return a pipeline's settings, or the defaults of its class; None if it has no settings."""
    found = getattr(pipeline, "settings", None)
    return found if is_dataclass(found) and not isinstance(found, type) else None


def with_values(defaults: Any, given: Mapping[str, Any], owner: str) -> Any:
    """Return settings with values replaced: each of its field's type, or text to parse as one.

    Args:
        defaults: what the pipeline ``owner`` declares, or None.
        given: values by name. Text for a field that is not text is read as JSON.
        owner: the pipeline's name, for messages.

    Raises:
        InvalidInput: no such setting (lists the existing ones), or a value of the wrong type.
    """
    if not given:
        return defaults
    known: dict[str, Any] = get_type_hints(type(defaults)) if defaults is not None else {}
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in known:
            there = ", ".join(f"{key} ({_name(kind)})" for key, kind in known.items())
            close = get_close_matches(name, known, 1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise InvalidInput(
                f"{owner} has no setting {name!r}; it has {there or 'no settings'}{hint}"
            )
        values[name] = _value(f"setting {name} of {owner}", known[name], value)
    return replace(defaults, **values)  # pyright: ignore[reportArgumentType]


def _value(what: str, kind: Any, given: Any) -> Any:
    with contextlib.suppress(msgspec.ValidationError):
        return msgspec.convert(given, kind)
    if isinstance(given, str):
        with contextlib.suppress(ValueError):
            return msgspec.convert(json.loads(given), kind)
    raise InvalidInput(f"{what} is {given!r}; it must be {_name(kind)}")


def _options(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def _name(kind: Any) -> str:
    if len(options := _options(kind)) > 1:
        return " or ".join(map(_name, options))
    if get_origin(kind) is Literal:
        return " or ".join(map(str, get_args(kind)))
    if get_origin(kind) is tuple:
        return f"a list of {_name(get_args(kind)[0])}"
    return "null" if kind is NoneType else _NAMES.get(kind, str(kind))
