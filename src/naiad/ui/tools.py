"""Tools for agents: a description with JSON Schemas, and a call with plain values."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeAlias, cast

from naiad.errors import InvalidInput
from naiad.printable import encodable

Json: TypeAlias = "dict[str, Any]"

_LONGEST_NAME: Final = 64
"""Characters of a tool's name that all agents take."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer of a tool.

    Attributes:
        text: for an agent that reads nothing else; short.
        content: by the tool's output schema.
        pictures: PNG files.
        failed: nothing was answered; ``text`` says why.
    """

    text: str
    content: Json = field(default_factory=dict[str, Any])
    pictures: tuple[bytes, ...] = ()
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Watch:
    """The caller of a tool while it works.

    Attributes:
        wanted: returns False once the caller has given up.
        advance: called with the number of answered units.
    """

    wanted: Callable[[], bool] = lambda: True
    advance: Callable[[int], None] = lambda _: None


class Tool(Protocol):
    """A tool; none changes anything.

    Attributes:
        name: what it would be called if no other tool had this name.
    """

    name: str

    def title(self) -> str:
        """Return its name as people read it."""
        ...

    def about(self) -> str:
        """Return its purpose, for the agent that chooses among tools."""
        ...

    def takes(self) -> Json:
        """Return the JSON Schema of its arguments."""
        ...

    def gives(self) -> Json:
        """Return the JSON Schema of `Reply.content`."""
        ...

    def call(self, arguments: Mapping[str, Any], watch: Watch) -> Reply:
        """Return the answer.

        Raises:
            NaiadError: nothing could be answered; says why.
        """
        ...


def named(tools: Iterable[Tool]) -> dict[str, Tool]:
    """Return tools by names that agents take: short, of plain characters, each once."""
    found: dict[str, Tool] = {}
    for tool in tools:
        plain = re.sub(r"[^A-Za-z0-9_-]", "_", tool.name)[:_LONGEST_NAME] or "tool"
        name, number = plain, 2
        while name in found:
            ending = f"_{number}"
            name, number = plain[: _LONGEST_NAME - len(ending)] + ending, number + 1
        found[name] = tool
    return found


def encodable_json(value: Any) -> Any:
    """Return a value of JSON in which every text can be sent: names of files may not be UTF-8."""
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, list):
        return [encodable_json(one) for one in cast("list[Any]", value)]
    if isinstance(value, dict):
        pairs = cast("dict[str, Any]", value).items()
        return {encodable(name): encodable_json(one) for name, one in pairs}
    return value


def check_names(arguments: Mapping[str, Any], schema: Json) -> None:
    """Check that a tool has all arguments that it was given.

    Raises:
        InvalidInput: one is unknown.
    """
    known = schema["properties"]
    for name in arguments:
        if name not in known:
            raise InvalidInput(f"unknown argument {name!r}; arguments: {', '.join(known)}")


def integer(arguments: Mapping[str, Any], schema: Json, name: str) -> int:
    """Return an integer argument, by default that of its schema.

    Raises:
        InvalidInput: it is something else, or out of bounds.
    """
    about = schema["properties"][name]
    value = arguments.get(name, about["default"])
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # JSON has one kind of number
    low, high = about["minimum"], about["maximum"]
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InvalidInput(f"{name} is {value!r}; it must be an integer from {low} to {high}")
    return value
