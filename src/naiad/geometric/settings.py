"""Arguments of a network's class as settings, and the hyper-parameters that a checkpoint has."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias, cast

import torch

from naiad.errors import SchemaError, WeightsError
from naiad.weights import read_hyper_parameters

Maker: TypeAlias = "torch.nn.Module | Callable[..., torch.nn.Module]"

_SIMPLE: Final = (bool, int, float, str)
_NAMES: Final = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


@dataclass(frozen=True, slots=True)
class Saved:
    """Hyper-parameters of a checkpoint.

    Attributes:
        values: those that are arguments of the network, by name.
        others: names of the others.
    """

    values: Mapping[str, Any]
    others: tuple[str, ...] = ()


def network_settings(network: Maker, given: Mapping[str, Any]) -> Any:
    """Return the arguments that the network is made with, as a dataclass; None for a module.

    Raises:
        SchemaError: it takes no such argument, or needs one that is not given.
    """
    if isinstance(network, torch.nn.Module):
        if given:
            raise SchemaError("settings are arguments of a class or function; give that as network")
        return None
    parameters = _parameters(network)
    if unknown := given.keys() - parameters.keys():
        raise SchemaError(
            f"{network.__name__} takes no {', '.join(sorted(unknown))}; it takes "
            f"{', '.join(parameters) or 'nothing'}"
        )
    values = {key: given.get(key, default) for key, default in parameters.items()}
    if missing := [key for key, value in values.items() if value is inspect.Parameter.empty]:
        raise SchemaError(
            f"{network.__name__} needs {', '.join(missing)}: give settings, such as "
            f"{{{missing[0]!r}: 64}}"
        )
    simple = {k: v for k, v in values.items() if isinstance(v, _SIMPLE)}
    made = make_dataclass(
        "Settings",
        [(key, type(value), field(default=value)) for key, value in simple.items()],
        frozen=True,
    )
    made.others = {key: given[key] for key in given if key not in simple}
    return made()


def typed_value(network: Any, name: str, given: Any) -> Any:
    """Return an argument that was typed, as its default's type or as JSON.

    Raises:
        SchemaError: it is not of its default's type.
    """
    parameter = inspect.signature(network).parameters.get(name)
    default = None if parameter is None else parameter.default
    if not isinstance(given, str) or isinstance(default, str):
        return given
    try:
        value = json.loads(given)
    except ValueError:
        value = given
    if isinstance(default, float) and type(value) is int:
        value = float(value)
    if isinstance(default, bool | int | float) and type(value) is not type(default):
        raise SchemaError(
            f"{name} is {given!r}; its default is {default!r}, so it must be "
            f"{'a number' if type(default) is not bool else 'true or false'}"
        )
    return value


def saved_settings(network: Maker, weights: Path, given: Mapping[str, Any]) -> Saved:
    """Return the hyper-parameters of a checkpoint, without those that are ``given``.

    A file without any has none, and so has a folder, or a network that is already made.

    Raises:
        WeightsError: the file cannot be read safely, or a value is not of its default's type.
    """
    if isinstance(network, torch.nn.Module) or not weights.is_file():
        return Saved({})
    parameters, values = _parameters(network), dict[str, Any]()
    found = read_hyper_parameters(weights)
    for name, value in found.items():
        if name in parameters and name not in given and _is_plain(value):
            default = parameters[name]
            if isinstance(default, float) and type(value) is int:
                value = float(value)
            if isinstance(default, _SIMPLE) and type(value) is not type(default):
                raise WeightsError(
                    f"{weights}: its hyper-parameter {name} is {value!r}; it must be "
                    f"{_NAMES[type(default)]}, as its default in {network.__name__} is {default!r}"
                )
            values[name] = value
    return Saved(values, tuple(name for name in found if name not in {*values, *given}))


def _parameters(network: Callable[..., torch.nn.Module]) -> dict[str, Any]:
    """Return the defaults of the named parameters; ``Parameter.empty`` where there is none."""
    return {
        key: one.default
        for key, one in inspect.signature(network).parameters.items()
        if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    }


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value)
        return all(isinstance(key, str) and _is_plain(one) for key, one in items.items())
    if isinstance(value, list | tuple):
        return all(map(_is_plain, cast("list[Any]", value)))
    return value is None or type(value) in _SIMPLE
