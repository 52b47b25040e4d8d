"""The names of ``import naiad``, and the calls of the documentation, are what they were."""

from __future__ import annotations

import ast
import inspect
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from types import MethodType
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from tests.support.golden import Golden
from tests.support.markdown import EXAMPLES, PAGES, blocks

import naiad

ANSWERS = {"infer", "infer_many", "try_many"}
OUTSIDE = object()
"""A value whose type is not known: of another library, or of a user's own class."""


@dataclass(frozen=True, slots=True)
class Instance:
    """Some value of a class; of a task's client, with the task."""

    of: Any
    task: Any = None


def imported(module: str, name: str) -> Any:
    """What ``from module import name`` gives: an attribute, or a module below."""
    try:
        return getattr(import_module(module), name)
    except AttributeError:
        return import_module(f"{module}.{name}")


@dataclass(slots=True)
class Reader:
    """What a page's names are, and the calls of Naiad's that it shows.

    Attributes:
        page: its name.
        names: modules, functions and classes as they are, other values as `Instance`.
        calls: each as ``page: from module import name`` or ``page: client.infer(_, x=)``, and
            the function it is, with the call.
    """

    page: str
    names: dict[str, Any] = field(default_factory=dict[str, Any])
    calls: dict[str, tuple[Any, ast.Call]] = field(default_factory=dict[str, Any])

    def read(self, node: ast.AST) -> None:
        """Follow the statements in the order in which they are run."""
        match node:
            case ast.Import(names=[ast.alias(name="naiad", asname=None)]):
                self.names["naiad"] = naiad
            case ast.ImportFrom(module=str(module), names=aliases) if module[:5] == "naiad":
                for alias in aliases:
                    self.names[alias.name] = imported(module, alias.name)
                    self.note(f"from {module} import {alias.name}", None, None)
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                self.names[name] = self.value(value)
            case ast.withitem(context_expr=value, optional_vars=ast.Name(id=name)):
                self.names[name] = self.value(value)
            case ast.For(target=ast.Name(id=name), iter=value):
                self.names[name] = self.element(value)
            case ast.Call():
                self.value(node)
        for child in ast.iter_child_nodes(node):
            self.read(child)

    def note(self, text: str, function: Any, call: Any) -> None:
        self.calls[f"{self.page}: {text}"] = (function, call)

    def value(self, node: ast.expr) -> Any:
        match node:
            case ast.Name(id=name):
                return self.names.get(name, OUTSIDE)
            case ast.Attribute(value=owner, attr=name):
                return member(self.value(owner), name, ast.unparse(node))
            case ast.Subscript(value=owner):
                return self.element(owner)
            case ast.Call(func=function):
                called = self.value(function)
                if called is OUTSIDE:
                    return OUTSIDE
                given = ["_"] * len(node.args) + [f"{k.arg}=" for k in node.keywords]
                self.note(f"{ast.unparse(function)}({', '.join(given)})", called, node)
                if isinstance(called, type):
                    return Instance(called)
                if isinstance(function, ast.Attribute):
                    owner = self.value(function.value)
                    if isinstance(owner, Instance) and owner.task and function.attr in ANSWERS:
                        return answers(owner.task, function.attr)
                return instance(hints(called).get("return"))
        return OUTSIDE

    def element(self, node: ast.expr) -> Any:
        found = self.value(node)
        if not isinstance(found, Instance):
            return OUTSIDE
        if arguments := get_args(found.of):
            return instance(arguments[0])
        items = getattr(found.of, "__getitem__", None) or getattr(found.of, "__iter__", None)
        return OUTSIDE if items is None else instance(hints(items).get("return"))


def answers(task: Any, method: str) -> Any:
    """What a task's client answers: a result, or many."""
    result = hints(type(task).answer).get("return")
    return instance(list[result] if task.listed or method != "infer" else result)


def instance(annotation: Any) -> Any:
    """A value of what is annotated; where that is a union or no class, its type is not known."""
    kind = get_origin(annotation) or annotation
    return Instance(annotation) if isinstance(kind, type) else OUTSIDE


def hints(of: Any) -> dict[str, Any]:
    """The annotations; none where they name what is imported for type checkers alone."""
    try:
        return get_type_hints(of)
    except (NameError, TypeError):
        return {}


def member(owner: Any, name: str, text: str) -> Any:
    """The attribute of a module or class, or of a value.

    Raises:
        AssertionError: there is none.
    """
    kind = owner.of if isinstance(owner, Instance) else owner
    kind = get_origin(kind) or kind
    if kind is OUTSIDE or not getattr(kind, "__module__", kind.__name__).startswith("naiad"):
        return OUTSIDE
    if kind is owner:
        assert hasattr(kind, name), f"{text}: {kind.__name__} has no {name}"
        return getattr(kind, name)
    if name in hints(kind):
        return instance(hints(kind)[name])
    if not hasattr(kind, name) and hasattr(kind, "__getattr__"):  # a client's models
        found = getattr(kind(), name)
        return Instance(type(found), getattr(found, "task", None))
    assert hasattr(kind, name), f"{text}: {kind.__name__} has no {name}"
    found = inspect.getattr_static(kind, name)
    if isinstance(found, property | cached_property):
        return instance(hints(getattr(found, "fget", None) or found.func).get("return"))
    value = getattr(kind, name)
    return value if inspect.ismethod(value) else MethodType(value, object())


def documented(page: Path) -> dict[str, tuple[Any, Any]]:
    """Every call of Naiad's that a page or an example shows."""
    reader = Reader(page.name)
    if page.suffix == ".py":
        reader.read(ast.parse(page.read_text("utf-8")))
        return reader.calls
    for block in blocks(page):
        if block.language == "python":
            reader.read(ast.parse(block.text))
    return reader.calls


def test_the_documented_calls_are_what_they_were(golden: Golden) -> None:
    lines = [f"{call}\n" for page in PAGES + EXAMPLES for call in documented(page)]
    golden.check("client_calls.txt", "".join(lines))


@pytest.mark.parametrize("page", PAGES + EXAMPLES, ids=lambda page: page.name)
def test_documented_calls_fit_their_signatures(page: Path) -> None:
    for called, call in documented(page).values():
        if called is not None and signature(called) != "(message)":
            assert not any(isinstance(argument, ast.Starred) for argument in call.args)
            names = [keyword.arg for keyword in call.keywords if keyword.arg]
            inspect.signature(called).bind_partial(*call.args, **dict.fromkeys(names))


def test_a_call_that_does_not_exist_is_found() -> None:
    with pytest.raises(AssertionError, match="TaskClient has no embed"):
        Reader("a").read(ast.parse("import naiad\nnaiad.Client().gat.embed()"))


def test_what_a_task_answers_is_followed() -> None:
    reader = Reader("a")
    reader.read(ast.parse("import naiad\nnaiad.Client().gat.infer(graph).counts()"))
    assert "a: naiad.Client().gat.infer(graph).counts()" in reader.calls
    with pytest.raises(AssertionError, match="Classification has no counts"):
        reader.read(ast.parse("for t in naiad.Client().zero_shot.infer(x, y): t.counts()"))


def test_what_a_call_returns_is_followed() -> None:
    reader = Reader("a")
    reader.read(ast.parse("import naiad\nfor p in naiad.Client().products.recommend([1]): p.why()"))
    assert list(reader.calls) == [
        "a: naiad.Client()",
        "a: naiad.Client().products.recommend(_)",
        "a: p.why()",
    ]


def test_the_public_names_are_what_they_were(golden: Golden) -> None:
    golden.check("api.txt", "".join(map(public, naiad.__all__)))


def public(name: str) -> str:
    """A name with its signature, and those of a class's public members."""
    value = getattr(naiad, name)
    if not isinstance(value, type):
        return f"{name}{signature(value)}\n\n" if callable(value) else f"{name}\n\n"
    lines = [f"{name}{signature(value)}"]
    for attribute in dir(value):
        found = inspect.getattr_static(value, attribute)
        if not attribute.startswith("_") and attribute not in dir(Exception):
            called = callable(getattr(value, attribute)) and not isinstance(found, type)
            lines.append(f"    {attribute}{signature(getattr(value, attribute)) if called else ''}")
    return "\n".join(lines) + "\n\n"


def signature(value: Any) -> str:
    """Of what is called; an exception is called with its message."""
    if isinstance(value, type) and issubclass(value, Exception):
        return "(message)"
    found = inspect.signature(value)
    parameters = [
        parameter.replace(annotation=plain(parameter.annotation))
        for parameter in found.parameters.values()
    ]
    returned = plain(found.return_annotation)
    return str(found.replace(parameters=parameters, return_annotation=returned))


class Plain(str):
    """The text of an annotation, without quotes."""

    __slots__ = ()
    __repr__ = str.__str__


def plain(annotation: Any) -> Any:
    return Plain(annotation) if isinstance(annotation, str) else annotation
