"""Fields of settings dataclasses: help, unit and bounds; keywords, checks and config parameters."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

_UNITS = {"s": "seconds", "bytes": "bytes"}


def setting(default: Any, help: str, **about: Any) -> Any:
    """Declare a field of a settings dataclass.

    Args:
        default: the value if none is given.
        help: one sentence, for ``--help`` and the reference.
        about: ``unit`` is ``"s"``, ``"bytes"``, ``"octal"``, or ``"bool"`` for an option that is
            given as true or false; ``min`` and ``max`` are bounds,
            ``above`` is a bound that the value must exceed; ``flag`` is the option's name if it is
            not the field's, ``typed`` its default, ``metavar`` its placeholder, ``panel`` its
            group; ``bare`` is the unit of a number without one; ``former`` is the setting's older
            option and the unit of its numbers.
    """
    return field(default=default, metadata={"help": help, **about})


def like(kind: type, name: str, **changes: Any) -> Any:
    """Declare a setting of ``kind`` in another dataclass; ``changes`` may have its ``default``."""
    (one,) = (one for one in fields(kind) if one.name == name)  # pyright: ignore[reportArgumentType]
    default = changes.pop("default", one.default)
    return field(default=default, metadata={**one.metadata, **changes})


def keywords(options: Any, *kinds: type) -> Callable[[F], F]:
    """Show the fields of ``kinds`` in the signature and the docstring of a function.

    The function takes them as ``**settings``; ``options`` is their TypedDict.
    """

    def shown(function: F) -> F:
        types = get_type_hints(options)
        texts = {
            name: getattr(hint, "__forward_arg__", hint)
            for name, hint in inspect.get_annotations(options).items()
        }
        signature = inspect.signature(function)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        derived = {
            one.name: inspect.Parameter(
                one.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=one.default,
                annotation=texts[one.name],
            )
            for kind in kinds
            for one in fields(kind)
        }
        derived |= {p.name: p for p in own if p.kind is p.KEYWORD_ONLY}
        first = [p for p in own if p.kind is not p.KEYWORD_ONLY]
        target: Any = function
        target.__signature__ = signature.replace(parameters=[*first, *derived.values()])
        target.__annotations__ = {
            name: annotation
            for name, annotation in target.__annotations__.items()
            if name != "settings"
        } | {name: types[name] for name in derived if name in types}
        text = "".join(f"\n    {one.name}: {described(one)}" for k in kinds for one in fields(k))
        target.__doc__ = f"{inspect.cleandoc(function.__doc__ or '')}\n\nSettings:{text}\n"
        return function

    return shown


def option_name(one: Field[Any]) -> str:
    """Return the name of a field's option, such as ``--latency-target``."""
    return f"--{one.metadata.get('flag', one.name.replace('_', '-'))}"


def described(one: Field[Any]) -> str:
    """Return a setting's help, with the unit of its value in Python."""
    unit = _UNITS.get(one.metadata.get("unit", ""), "")
    return f"{one.metadata['help']}{f' In {unit}.' if unit else ''}"


def settings_of(kind: type[T], given: Mapping[str, Any]) -> T:
    """Make settings of ``kind`` from keywords; text becomes a path, sequences tuples, as needed.

    Raises:
        TypeError: a keyword is not one of its fields.
    """
    types = get_type_hints(kind)
    defaults = {one.name: one.default for one in fields(kind)}  # pyright: ignore[reportArgumentType]
    for name in given:
        if name not in defaults:
            close = get_close_matches(name, defaults, 1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise TypeError(f"unexpected keyword argument {name!r}{hint}")
    return kind(**{name: _coerced(types[name], v, defaults[name]) for name, v in given.items()})


def changed(settings: Any) -> dict[str, Any]:
    """Return the values of a settings dataclass that differ from their defaults, by name."""
    values = {one.name: (getattr(settings, one.name), one.default) for one in fields(settings)}
    return {name: value for name, (value, default) in values.items() if value != default}


def check(settings: Any, error: type[Exception]) -> None:
    """Check every value against the bounds of its field.

    Raises:
        error: names the setting, its value and what it must be.
    """
    types = get_type_hints(type(settings))
    for one in fields(settings):
        value = getattr(settings, one.name)
        allowed = choices(types[one.name])
        if value is not None and (wrong := out_of_bounds(one, value, allowed)):
            raise error(f"{one.name} is {shown(one, value)}; it must be {wrong}")


def shown(one: Field[Any], value: Any) -> str:
    """Return a value with its unit, for messages."""
    if isinstance(value, float | int) and (unit := one.metadata.get("unit")) in _UNITS:
        return f"{value:g} {unit}"
    return repr(value)


def out_of_bounds(one: Field[Any], value: Any, allowed: Sequence[Any] = ()) -> str:
    """Return what a disallowed value must be; "" if the field allows it."""
    about = one.metadata
    if allowed:
        return "" if value in allowed else " or ".join(map(str, allowed))
    if not isinstance(value, int | float):
        return ""
    low, above, high = about.get("min"), about.get("above"), about.get("max")
    if not isinstance(value, int) and not math.isfinite(value):
        return "a finite number"
    if above is not None and value <= above:
        return f"more than {above}"
    if low is not None and high is not None and not low <= value <= high:
        return f"from {low} to {high}"
    if low is not None and value < low:
        return f"at least {low}" if low else "0 or more"
    return ""


def choices(kind: Any) -> tuple[Any, ...]:
    """Return the values of a Literal or optional Literal; () for any other type."""
    options = [
        option
        for one in (kind, *get_args(kind))
        if get_origin(one) is Literal
        for option in get_args(one)
    ]
    return tuple(options)


def to_parameters(settings: Any) -> dict[str, str]:
    """Return settings as parameters of a ``config.pbtxt``, without those that are None."""
    values = {one.name: getattr(settings, one.name) for one in fields(settings)}
    return {name: _text(value) for name, value in values.items() if value is not None}


def from_parameters(kind: type[T], parameters: Mapping[str, str]) -> T:
    """Read settings from the parameters of a ``config.pbtxt``; the inverse of `to_parameters`.

    Raises:
        ValueError: a parameter is malformed; names it, its value and what it must be.
    """
    types = get_type_hints(kind)
    return kind(
        **{
            one.name: _parsed(one.name, types[one.name], parameters[one.name])
            for one in fields(kind)  # pyright: ignore[reportArgumentType]
            if one.name in parameters
        }
    )


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    return json.dumps(value)


def _parsed(name: str, kind: Any, text: str) -> Any:
    options = get_args(kind) or (kind,)
    if choices(kind):
        return text
    try:
        if float in options:
            return float(text)
        if int in options:
            return int(text)
        return text if str in options else json.loads(text)
    except ValueError:
        wanted = "a number" if float in options else "a whole number" if int in options else "JSON"
        raise ValueError(f"parameter {name} is {text!r}; it must be {wanted}") from None


def _coerced(kind: Any, value: Any, default: Any) -> Any:
    """Convert a value given in Python code to the type of its field."""
    inner = [arg for arg in (kind, *get_args(kind)) if arg is not type(None)]
    several = next((arg for arg in inner if get_origin(arg) is tuple), None)
    if several is not None:
        if value is None:
            return default
        values = (value,) if isinstance(value, str | Path) else tuple(value)
        return tuple(Path(one) if Path in get_args(several) else one for one in values)
    if value is None:
        return default if type(None) not in get_args(kind) else None
    return Path(value) if Path in inner and isinstance(value, str) else value
