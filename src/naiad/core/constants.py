"""Values as Python source: numbers, texts, containers, dataclasses and what is like them."""

from __future__ import annotations

import copyreg
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import reduce
from types import NoneType
from typing import Any, Final, cast

import numpy as np

from naiad.core.budget import Budget

_PLAIN: Final = (NoneType, bool, int, str, bytes, complex, type(Ellipsis))

Refer = Callable[[Any, set[str]], "str | None"]
"""Returns the expression for a class or function, and adds names that it uses to a set."""


class NotConstantError(ValueError):
    """The value cannot be written as source."""


class Writer:
    """Writes values, with one way to refer to classes and functions.

    Attributes:
        names: that the written values use.
    """

    def __init__(self, refer: Refer) -> None:
        """Begin without names."""
        self._refer = refer
        self.names: set[str] = set()

    def text(self, value: Any) -> str:
        """Return an expression that makes an equal value.

        Raises:
            NotConstantError: there is none.
        """
        kind: Any = type(value)
        if kind in _PLAIN:
            return repr(value)
        if kind is float:
            return repr(value) if math.isfinite(value) else f'float("{value}")'
        if kind in (list, tuple, set, frozenset):
            return self._sequence(value)
        if kind is dict:
            return self._dict(value)
        if isinstance(value, Budget):
            return f"{self._name(Budget)}(**{self._dict({**value})})"
        if isinstance(value, Enum):
            return f"{self._name(kind)}[{value.name!r}]"
        if isinstance(value, np.dtype):
            return f"{self._name(np.dtype)}({value.str!r})"
        if isinstance(value, np.bool_ | np.number):
            return f"{self._name(kind)}({self.text(value.item())})"
        if isinstance(value, type):
            return self._name(value)
        if is_dataclass(value):
            return self._dataclass(value)
        if callable(value) and (name := self._refer(value, self.names)):
            return name
        return self._reduced(value)

    def _name(self, value: Any) -> str:
        name = self._refer(value, self.names)
        if name is None:
            raise NotConstantError
        return name

    def _sequence(self, value: Any) -> str:
        items = ", ".join(self.text(one) for one in value)
        if isinstance(value, list):
            return f"[{items}]"
        if isinstance(value, tuple):
            return f"({items},)" if len(cast("tuple[Any, ...]", value)) == 1 else f"({items})"
        return f"{type(value).__name__}([{items}])"

    def _dict(self, value: Mapping[Any, Any]) -> str:
        items = (f"{self.text(key)}: {self.text(one)}" for key, one in value.items())
        return f"{{{', '.join(items)}}}"

    def _dataclass(self, value: Any) -> str:
        arguments = list[str]()
        for one in fields(value):
            given = getattr(value, one.name)
            same = type(given) is type(one.default) and type(given) in (*_PLAIN, float)
            if one.init and not (same and given == one.default):
                arguments.append(f"{one.name}={self.text(given)}")
            elif not one.init and one.default is MISSING and one.default_factory is MISSING:
                continue  # __post_init__ makes it
        return f"{self._name(type(value))}({', '.join(arguments)})"

    def _reduced(self, value: Any) -> str:
        """Write a value that pickles as a function and its plain arguments: a path, a logger."""
        try:
            reducer = copyreg.dispatch_table.get(type(value))
            reduced: Any = reducer(value) if reducer else value.__reduce_ex__(2)
        except Exception:
            raise NotConstantError from None
        if isinstance(reduced, str):
            module = _home(value, reduced)
            if found_in(module, reduced) is not value:
                raise NotConstantError
            return f"{self._name_of(module)}.{reduced}"
        function, arguments, *rest = reduced
        if any(one is not None for one in rest):
            raise NotConstantError
        return f"{self._name(function)}({', '.join(self.text(one) for one in arguments)})"

    def _name_of(self, module: str) -> str:
        return f"{self._name(__import__)}({module!r}, fromlist=['*'])"


def found_as(value: Any) -> tuple[str, str] | None:
    """Return the module and the name by which an object can be imported, or None."""
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
    if not isinstance(name, str) or not name.isidentifier():
        return None
    module = getattr(value, "__module__", None) or _home(value, name)
    return (module, name) if found_in(module, name) is value else None


def _home(value: Any, name: str) -> str:
    """Return the module that has an object which does not say so, or ""."""
    return next((key for key in [*sys.modules] if found_in(key, name) is value), "")


def found_in(module: str, name: str) -> Any:
    """Return the object of a module under a name, which may have dots; None if it has none."""
    return reduce(
        lambda one, part: getattr(one, part, None), name.split("."), sys.modules.get(module)
    )
