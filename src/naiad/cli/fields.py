"""Command-line options derived from the fields of dataclasses.

A field's metadata has its ``help``; see :func:`naiad.core.fields.setting` for the other keys.
``parser`` is a function that makes its value of a text. A field that is itself a dataclass stands
for its own fields, in a panel of their own.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import typer

from naiad.cli.units import amount, duration, seconds, size
from naiad.core.fields import choices, option_name, out_of_bounds

T = TypeVar("T")


def options(kind: Any, panel: str | None = None) -> list[inspect.Parameter]:
    """Return keyword parameters as typer reads them, one for each field of a dataclass."""
    return [parameter for one, hint in _hinted(kind) for parameter in _options(one, hint, panel)]


def build(kind: type[T], values: dict[str, Any]) -> T:
    """Make the dataclass that a command's arguments describe; take them out of ``values``."""
    made: dict[str, Any] = {}
    for one, hint in _hinted(kind):
        part = _part(hint)
        if part is None:
            made[one.name] = _given(one, hint, values)
            continue
        found, wanted = build(part, values), values.pop(one.name, False)
        optional = type(None) in get_args(hint)
        made[one.name] = None if optional and not wanted and found == part() else found
    return kind(**made)


def with_fields(command: Callable[..., None]) -> Callable[..., None]:
    """Replace each parameter of ``command`` that is a dataclass by an option per field.

    Its annotation is the dataclass, or ``Annotated[Any, DATACLASS]`` for one that is made.
    """
    signature = inspect.signature(command, eval_str=True)
    kinds: dict[str, Any] = {}
    parameters: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        if (kind := _part(parameter.annotation)) is not None:
            kinds[parameter.name] = kind
            parameters += options(kind)
        else:
            parameters.append(parameter)

    @functools.wraps(command)
    def run(**given: Any) -> None:
        for name, kind in kinds.items():
            given[name] = build(kind, given)
        command(**given)

    return reshaped(run, parameters)


def reshaped(
    command: Callable[..., None], parameters: list[inspect.Parameter]
) -> Callable[..., None]:
    """Give the function the signature that typer reads."""
    parameters = [one.replace(kind=one.KEYWORD_ONLY) for one in parameters]
    command.__signature__ = inspect.Signature(parameters)  # pyright: ignore[reportFunctionMemberAccess]
    command.__annotations__ = {one.name: one.annotation for one in parameters} | {"return": None}
    return command


def _hinted(kind: Any) -> Iterator[tuple[Field[Any], Any]]:
    types = get_type_hints(kind)
    return ((one, types[one.name]) for one in fields(kind) if "help" in one.metadata)


def _part(hint: Any) -> Any:
    """Return the dataclass in a type such as ``D``, ``D | None`` or ``Annotated[Any, D]``."""
    return next((one for one in (hint, *get_args(hint)) if is_dataclass(one)), None)


def _options(one: Field[Any], hint: Any, panel: str | None) -> Iterator[inspect.Parameter]:
    about = one.metadata
    if (part := _part(hint)) is not None:
        if "flag" in about:
            yield _parameter(one.name, bool, False, option_name(one), about, about.get("panel"))
        yield from options(part, about.get("panel", panel))
        return
    default = about.get("typed", one.default)
    kind: Any = next(arg for arg in (*get_args(hint), hint) if arg is not type(None))
    several = next((arg for arg in (hint, *get_args(hint)) if get_origin(arg) is tuple), None)
    if choices(hint):
        kind = hint
    elif several is not None:
        kind, default = list[get_args(several)[0]], list(default) if default else None
    elif get_origin(hint) is Mapping or any(get_origin(a) is Mapping for a in get_args(hint)):
        kind = list[str]
    extra: dict[str, Any] = {"show_default": default not in (MISSING, None, "", [])}
    if "parser" in about:
        kind, extra["parser"] = str, about["parser"]
    elif (unit := about.get("unit")) is not None:
        reader, shown, metavar = _UNITS[unit]
        extra["parser"] = _Reader(one, hint, reader, about.get("bare"))
        extra["metavar"] = about.get("metavar", metavar)
        default = shown(default) if default is not None else None
        kind = str if kind is bool else kind
    elif several is None and kind in (int, float):
        extra |= {name: about[name] for name in ("min", "max") if name in about}
    name = option_name(one)
    if kind is bool and default is True:
        name = f"{name}/--no-{name[2:]}"
    yield _parameter(one.name, kind, default, name, about, panel, **extra)
    if about.get("former"):
        former, unit = about["former"]
        extra = {"parser": _Reader(one, hint, _UNITS[about["unit"]][0], unit), "hidden": True}
        extra["metavar"] = unit.upper()
        yield _parameter(_former(one), kind, None, f"--{former}", about, panel, **extra)


def _parameter(
    name: str,
    kind: Any,
    default: Any,
    option: str,
    about: Mapping[str, Any],
    panel: str | None,
    **extra: Any,
) -> inspect.Parameter:
    facts: dict[str, Any] = {
        "help": about["help"],
        "metavar": about.get("metavar"),
        "rich_help_panel": panel,
    }
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if default is MISSING else default,
        annotation=Annotated[
            kind if default is not None else kind | None,
            typer.Option(option, *about.get("short", ()), **(facts | extra)),
        ],
    )


def _given(one: Field[Any], hint: Any, values: dict[str, Any]) -> Any:
    value = values.pop(one.name)
    if one.metadata.get("former") and (former := values.pop(_former(one))) is not None:
        if value is not None:
            raise typer.BadParameter(
                f"{option_name(one)} and --{one.metadata['former'][0]} are the same; give one"
            )
        value = former
    hints = {get_origin(arg) for arg in (hint, *get_args(hint))}
    if Mapping in hints:
        return dict(_pair(option_name(one), text) for text in value) if value else one.default
    if tuple in hints:
        return tuple(value) if value else one.default
    return value


def _pair(option: str, text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise typer.BadParameter(f"{option} {text}: expected NAME=VALUE")
    return name, value


def _former(one: Field[Any]) -> str:
    return one.metadata["former"][0].replace("-", "_")


class _Reader:
    """Reader of values typed for a field with a unit; it checks their bounds."""

    __name__ = "value"  # shown by typer if there is no metavar

    def __init__(
        self, one: Field[Any], hint: Any, read: Callable[..., Any], bare: str | None
    ) -> None:
        self._field, self._whole = one, int in (hint, *get_args(hint))
        self._read = functools.partial(read, bare=bare) if bare else read

    def __call__(self, text: Any) -> Any:
        try:
            value = self._read(text) if isinstance(text, str) else text
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
        if self._whole and isinstance(value, float):
            if not value.is_integer():
                raise typer.BadParameter(f"{text!r} is not a whole number of seconds")
            value = int(value)
        if wrong := out_of_bounds(self._field, value):
            raise typer.BadParameter(f"{text} is out of range; it must be {wrong}")
        return value


def _octal(text: str) -> int:
    try:
        return int(text, 8)
    except ValueError:
        raise ValueError(f"{text!r} is not an octal number, such as 660") from None


def _boolean(text: str) -> bool:
    if text.lower() not in _BOOLEANS:
        raise ValueError(f"{text!r} is neither true nor false")
    return _BOOLEANS[text.lower()]


_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}  # as tritonserver reads them

# For each unit: the parser, the formatter, and the placeholder in the help.
_UNITS: dict[str, tuple[Callable[..., Any], Callable[[Any], str], str]] = {
    "s": (seconds, duration, "TIME"),
    "bytes": (size, amount, "SIZE"),
    "octal": (_octal, "{:o}".format, "MODE"),
    "bool": (_boolean, lambda value: str(value).lower(), "true|false"),
}
