"""Command-line options made from the fields of a settings dataclass."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Replace each parameter of ``command`` that is a dataclass by an option per field.

    A field's metadata has its ``help`` and ``metavar``. The options stand where the parameter
    stood, in a panel of its name.
    """
    signature = inspect.signature(command, eval_str=True)
    parameters: list[inspect.Parameter] = []
    kinds: dict[str, type] = {}
    for parameter in signature.parameters.values():
        if is_dataclass(parameter.annotation):
            kind: Any = parameter.annotation
            kinds[parameter.name] = kind
            types = get_type_hints(kind)
            title = parameter.name.replace("_", " ").capitalize()
            parameters += [_parameter(one, types[one.name], title) for one in fields(kind)]
        else:
            parameters.append(parameter)

    @functools.wraps(command)
    def run(**given: Any) -> None:
        for name, kind in kinds.items():
            values = {one.name: given.pop(one.name) for one in fields(kind)}
            given[name] = kind(
                **{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
            )
        command(**given)

    run.__signature__ = signature.replace(parameters=parameters)  # pyright: ignore[reportAttributeAccessIssue]
    run.__annotations__ = {one.name: one.annotation for one in parameters} | {"return": None}
    return run


def _parameter(one: Field[Any], kind: Any, panel: str) -> inspect.Parameter:
    option: dict[str, Any] = {
        "help": one.metadata["help"],
        "metavar": one.metadata.get("metavar"),
        "rich_help_panel": panel,
        "show_default": one.default not in (None, "", ()),
    }
    default = one.default
    assert default is not MISSING
    names = [f"--{one.name.replace('_', '-')}"]
    if one.metadata.get("metavar") == "MODE":
        option["parser"], default = _octal, f"{default:o}"
    if get_origin(kind) is tuple:
        kind, default = list[get_args(kind)[0]], list(default)
    return inspect.Parameter(
        one.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[kind, typer.Option(*names, **option)],
    )


def _octal(text: str | int) -> int:
    try:
        return text if isinstance(text, int) else int(text, 8)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no octal number, such as 660") from None
