"""Conditions on nodes and edges, checked against the schema before a database sees them.

Property names come from the schema and operators from a fixed table, so both may become part of a
query's text. Values never do: they are sent as parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

from naiad.applications.store.schema import PropertyType, is_int64
from naiad.errors import InvalidInput

Where: TypeAlias = "Mapping[str, Any]"
"""Conditions that must all hold. By property: the value it must have, or an operator and a value,
as in ``{"language": "en", "year": (">=", 1990), "genres": ("has", "Comedy")}``."""

OPERATORS: Final = ("=", "!=", "<", "<=", ">", ">=", "between", "in", "not in", "has")
"""``between`` takes the first and the last value, ``in`` and ``not in`` take lists of values, and
``has`` takes one value that a ``strings`` property must contain."""

_LISTS: Final = frozenset({"between", "in", "not in"})

MOST_VALUES: Final = 100_000
"""Maximum length of a list for ``in`` or ``not in``."""


class Table(Protocol):
    """A table that can be filtered: of nodes or of edges."""

    @property
    def name(self) -> str:
        """The name of the table."""
        ...

    def type_of(self, name: str) -> PropertyType:
        """Return the type of a property."""
        ...


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition: ``property operator value``.

    ``missing``, for a property or vector without a value, is internal to stores and not in
    :data:`OPERATORS`.
    """

    property: str
    operator: str
    value: Any


def conditions(table: Table, where: Where | None) -> list[Condition]:
    """Return the conditions of ``where``, checked.

    Raises:
        InvalidInput: a property or operator does not exist, or a value has the wrong type.
    """
    found: list[Condition] = []
    for name, wanted in (where or {}).items():
        kind = table.type_of(name)
        operator, value = wanted if isinstance(wanted, tuple) else ("=", wanted)
        _check(f"{table.name}.{name}", kind, operator, value)
        found.append(Condition(name, operator, value))
    return found


def _check(name: str, kind: PropertyType, operator: str, value: Any) -> None:
    if operator not in OPERATORS:
        raise InvalidInput(f"{name}: no operator {operator!r}; choose from {', '.join(OPERATORS)}")
    if (kind == "strings") != (operator == "has"):
        allowed = "has" if kind == "strings" else ", ".join(OPERATORS[:-1])
        raise InvalidInput(f"{name} is {kind}; {operator!r} does not apply to it; use {allowed}")
    values: Sequence[Any] = (value,)
    if operator in _LISTS:
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise InvalidInput(f"{name}: {operator!r} takes a list, not {value!r}")
        if len(value) > MOST_VALUES:
            raise InvalidInput(
                f"{name}: a list of {len(value):,} values; at most {MOST_VALUES:,} are allowed"
            )
        if operator == "between" and len(value) != 2:
            raise InvalidInput(f"{name}: 'between' takes two values, not {len(value)}")
        values = value
    for each in values:
        if not _IS[kind](each):
            raise InvalidInput(f"{name} is {kind}; {each!r} is not")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


_IS: Final[Mapping[PropertyType, Callable[[object], bool]]] = {
    "string": lambda value: isinstance(value, str),
    "strings": lambda value: isinstance(value, str),
    "int64": is_int64,
    "double": _is_number,
    "bool": lambda value: isinstance(value, bool),
}
