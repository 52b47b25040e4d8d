"""A class of a notebook or an interactive session, written as a module with all that it needs.

The module is what the session is when it is written: the source of classes and functions, from the
cells that defined them; imports; and the values of constants. A value that cannot be written as
source, such as an open file or an array, is refused by its name.
"""

from __future__ import annotations
import __future__

import ast
import builtins
import dis
import inspect
import io
import pickle
import sys
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final

from naiad.core.constants import NotConstantError, Writer, found_as
from naiad.core.pipeline import Call, Pipeline
from naiad.errors import SchemaError

_LARGEST: Final = 1 << 16  # characters of a constant
_LOADS: Final = {"LOAD_NAME", "LOAD_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS"}
_STORES: Final = {"STORE_NAME", "STORE_GLOBAL"}


@dataclass(frozen=True, slots=True)
class Written:
    """A module: its source, and files that it reads from its own folder, by name."""

    text: str
    files: Mapping[str, bytes]


def write_session(kind: type[Pipeline], name: str) -> Written:
    """Write the module that defines a class of the session under a name.

    Raises:
        SchemaError: a source is not known, or the class needs a value that cannot be written.
    """
    return _Module(sys.modules[kind.__module__], kind).write(name)


def unpickled(path: Path, names: Mapping[str, Any]) -> Any:
    """Return the object in a file of a written module; its classes are among ``names``.

    The file is the user's own, as the module is.
    """
    return _Unpickler(io.BytesIO(path.read_bytes()), names).load()


@dataclass(slots=True)
class _Definition:
    """The source that defines a name, and names that it needs when it is run, or called later."""

    text: str
    now: set[str] = field(default_factory=set[str])
    later: set[str] = field(default_factory=set[str])
    value: Any = None


class _Module:
    """A module in progress."""

    def __init__(self, session: ModuleType, kind: type[Pipeline]) -> None:
        self._kind = kind
        self._names = vars(session)
        self._cells = [*_cells()]
        self._imports: dict[str, None] = {}
        self._definitions: dict[str, _Definition] = {}
        self._files: dict[str, bytes] = {}

    def write(self, name: str) -> Written:
        self._define(name, self._kind, self._kind.__name__)
        lines = list[str]()
        if self._names.get("annotations") is __future__.annotations:
            lines.append("from __future__ import annotations\n")
        lines += self._imports
        before = ""
        for one in self._ordered(name):
            several = "\n" in one.text or "\n" in before
            lines.append(f"\n\n{one.text}" if several else one.text)
            before = one.text
        return Written("\n".join(lines) + "\n", self._files)

    def _ordered(self, name: str, done: set[str] | None = None) -> Iterator[_Definition]:
        """Yield a definition after all that it needs when it is run, and before the others."""
        done = set() if done is None else done
        if name in done or name not in self._definitions:
            return
        done.add(name)
        one = self._definitions[name]
        for needed in sorted(one.now):
            yield from self._ordered(needed, done)
        if one.text:
            yield one
        for needed in sorted(one.later):
            yield from self._ordered(needed, done)

    def _define(self, name: str, value: Any, user: str) -> None:
        known = self._definitions.get(name)
        if known is not None:
            if known.value is not value:
                raise SchemaError(
                    f"{self._kind.__name__} was made with an older {name} than there is now: run "
                    f"the cell that makes {self._kind.__name__} again"
                )
            return
        self._definitions[name] = _Definition("", value=value)  # ends recursion
        one = self._definition(name, value, user)
        one.value = value
        self._definitions[name] = one
        for needed in (one.now | one.later) - {name}:
            if needed in self._definitions or needed.startswith("__"):
                continue  # a module has its own __name__ and __file__
            if needed in self._names:
                self._define(needed, self._names[needed], name)
            elif not hasattr(builtins, needed):
                raise SchemaError(f"{name} uses {needed}, which the session does not have")

    def _definition(self, name: str, value: Any, user: str) -> _Definition:
        if imports := [*self._imported(name, value)]:
            self._imports |= dict.fromkeys(imports)
            return _Definition("")
        if isinstance(value, ModuleType):
            self._imports[f"import {value.__name__} as {name}"] = None
            return _Definition("")
        if isinstance(value, type) and issubclass(value, Pipeline) and (call := value.made_with()):
            return self._call(name, call)
        own = getattr(value, "__module__", None) == self._names["__name__"]
        if own and hasattr(value, "__qualname__"):
            return self._statement(name, value, user)
        if found := found_as(value):
            self._imports[f"from {found[0]} import {found[1]} as {name}"] = None
            return _Definition("")
        return self._constant(name, value, user)

    def _imported(self, name: str, value: Any) -> Iterator[str]:
        """Yield the session's imports that give a name its value."""
        for cell in self._cells:
            for node in _outside_functions(cell):
                match node:
                    case ast.Import(names):
                        for one in names:
                            bound = one.asname or one.name.partition(".")[0]
                            source = one.name if one.asname else bound
                            if bound == name and sys.modules.get(source) is value:
                                yield f"import {_alias(one)}"
                    case ast.ImportFrom(str(module), names, 0):
                        home = sys.modules.get(module)
                        for one in names:
                            bound = one.asname or one.name
                            if bound == name and getattr(home, one.name, home) is value:
                                yield f"from {module} import {_alias(one)}"
                    case _:
                        pass

    def _statement(self, name: str, value: Any, user: str) -> _Definition:
        if "<locals>" in inspect.unwrap(value).__qualname__:
            what = "class" if isinstance(value, type) else "function"
            raise self._refusal(name, f"a {what} that a function made", user)
        text = source_of_statement(name, value, self._cells)
        if text is None:
            what = value.__qualname__ if hasattr(value, "__qualname__") else name
            raise SchemaError(
                f"the source of {what} is not known; write it to a file, such as "
                f"{self._kind.name}.py, and serve {self._kind.name}.py:{self._kind.__name__}"
            )
        own = getattr(value, "__name__", name)
        own = name if own == "<lambda>" or _binds(text, name) else own
        later = f"\n\n{name} = {own}" if own != name else ""
        now, called = _needed(text, self._names.get("annotations") is __future__.annotations)
        return _Definition(f"{text.rstrip()}{later}", now - {own}, called)

    def _constant(self, name: str, value: Any, user: str) -> _Definition:
        writer = Writer(self._refer)
        try:
            text = writer.text(value)
        except NotConstantError:
            statement = _assignment(name, self._cells) if _is_type(value) else None
            if statement is None:
                raise self._refusal(name, f"a {_named(type(value))}", user) from None
            return _Definition(statement, *_needed(statement, annotations=False))
        if len(text) > _LARGEST:
            raise self._refusal(name, f"a {_named(type(value))} too large for source", user)
        return _Definition(f"{name} = {text}", writer.names)

    def _refer(self, value: Any, names: set[str]) -> str | None:
        """Return the expression for a class or function, or None if it has no name."""
        if getattr(value, "__module__", None) == self._names["__name__"]:
            name = getattr(value, "__name__", "<lambda>")
            if not name.isidentifier():
                return None
            self._define(name, value, self._kind.__name__)
            names.add(name)
            return name
        if (found := found_as(value)) is None:
            return None
        if found[0] == "builtins":
            return found[1]
        alias = "_" + found[0].replace(".", "_")
        self._imports[f"import {found[0]} as {alias}"] = None
        return f"{alias}.{found[1]}"

    def _call(self, name: str, call: Call) -> _Definition:
        """Return the call that made a class; arguments that are not constants are in files."""
        writer = Writer(self._refer)
        arguments = list[str]()
        for key, value in call.arguments.items():
            try:
                arguments.append(f"{key}={writer.text(value)}")
            except NotConstantError:  # noqa: PERF203
                arguments.append(f"{key}={self._in_file(f'{name}_{key}', value, writer.names)}")
        for file, content in call.files.items():
            self._files[file] = content
        function = self._refer(call.function, writer.names)
        return _Definition(f"{name} = {function}({', '.join(arguments)})", writer.names)

    def _in_file(self, name: str, value: Any, names: set[str]) -> str:
        try:
            content = pickle.dumps(value)
        except Exception as error:
            raise SchemaError(
                f"{self._kind.__name__}: {name.rpartition('_')[2]}, a {_named(type(value))}, can "
                f"neither be written as source nor pickled ({error})"
            ) from None
        seen = _Unpickler(io.BytesIO(content), self._names)
        seen.load()
        for one, there in seen.found.items():
            self._define(one, there, self._kind.__name__)
            names.add(one)
        self._files[f"{name}.pickle"] = content
        self._imports["from pathlib import Path as _Path"] = None
        load = self._refer(unpickled, names)
        return f'{load}(_Path(__file__).with_name("{name}.pickle"), globals())'

    def _refusal(self, name: str, what: str, user: str) -> SchemaError:
        return SchemaError(
            f"{user} uses {name}, {what}, which cannot be written as source for the worker; make "
            "it in setup(), for instance from a file that `files` or `weights` names"
        )


class _Unpickler(pickle.Unpickler):
    """Unpickler that finds the session's classes among some names."""

    def __init__(self, file: io.BytesIO, names: Mapping[str, Any]) -> None:
        super().__init__(file)
        self._names = names
        self.found: dict[str, Any] = {}

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        if module_name != "__main__":
            return super().find_class(module_name, global_name)
        first, *rest = global_name.split(".")
        value = self.found[first] = self._names[first]
        for part in rest:
            value = getattr(value, part)
        return value


def source_of_statement(name: str, value: Any, cells: list[ast.Module]) -> str | None:
    """Return the text of the statement that defined a class or function; None: it is not known."""
    for code in _codes(value):
        try:
            lines, _ = inspect.findsource(code)
            tree = ast.parse("".join(lines))
        except (OSError, SyntaxError):
            continue
        for node in ast.walk(tree):
            if _defines(node, value, name) and _first(node) <= code.co_firstlineno <= _last(node):
                return textwrap.dedent("".join(lines[_first(node) - 1 : _last(node)]))
    for cell in reversed(cells):
        for node in reversed(cell.body):
            if isinstance(value, type) and _defines(node, value, name):
                return ast.unparse(node)
    return _assignment(name, cells) if isinstance(value, type) else None


def _codes(value: Any) -> Iterator[CodeType]:
    """Yield the code of a function, or of the methods that a class defines."""
    value = inspect.unwrap(value)
    if isinstance(value, FunctionType):
        yield value.__code__
    elif isinstance(value, type):
        for one in vars(value).values():
            one = next(
                (getattr(one, key) for key in ("fget", "__func__", "func") if hasattr(one, key)),
                one,
            )
            if isinstance(one, FunctionType) and one.__qualname__.startswith(value.__qualname__):
                yield from _codes(one)


def _defines(node: ast.AST, value: Any, name: str) -> bool:
    match node:
        case ast.ClassDef(own):
            return isinstance(value, type) and own == value.__name__
        case ast.FunctionDef(own) | ast.AsyncFunctionDef(own):
            return not isinstance(value, type) and own == inspect.unwrap(value).__name__
        case ast.Assign([ast.Name(own)], ast.Lambda()):
            return own == name and inspect.unwrap(value).__name__ == "<lambda>"
        case _:
            return False


def _first(node: Any) -> int:
    return min(one.lineno for one in (node, *getattr(node, "decorator_list", ())))


def _last(node: Any) -> int:
    return node.end_lineno


def _assignment(name: str, cells: list[ast.Module]) -> str | None:
    """Return the last statement of a session that assigns one value to a name."""
    for cell in reversed(cells):
        for node in reversed(cell.body):
            match node:
                case ast.Assign([ast.Name(own)]) if own == name:
                    return ast.unparse(node)
                case _:
                    pass
    return None


def _cells() -> Iterator[ast.Module]:
    """Yield the cells that were run, parsed; those of IPython and Jupyter."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None:
        return
    for cell in shell.history_manager.input_hist_parsed:
        try:
            yield ast.parse(cell)
        except SyntaxError:  # noqa: PERF203 - the user was told of it
            continue


def _outside_functions(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield child
            yield from _outside_functions(child)


def _alias(one: ast.alias) -> str:
    return f"{one.name} as {one.asname}" if one.asname else one.name


def _binds(text: str, name: str) -> bool:
    (node,) = ast.parse(text).body
    if isinstance(node, ast.Assign):
        return True
    return getattr(node, "name", None) == name


def _needed(text: str, annotations: bool) -> tuple[set[str], set[str]]:
    """Return the global names that a statement needs when it is run, and those when called."""
    flags = __future__.annotations.compiler_flag if annotations else 0
    now, later = set[str](), set[str]()
    _walk(compile(text, "<cell>", "exec", flags, dont_inherit=True), now, later, called=False)
    return now, later - now


def _walk(code: CodeType, now: set[str], later: set[str], *, called: bool) -> None:
    stored = set[str]()
    for one in dis.get_instructions(code):
        if one.opname in _STORES:
            stored.add(one.argval)
        elif one.opname in _LOADS and one.argval not in stored:
            (later if called else now).add(one.argval)
    for const in code.co_consts:
        if isinstance(const, CodeType):
            # Comprehensions and type parameters are run at once; their names are in brackets.
            function = bool(const.co_flags & inspect.CO_OPTIMIZED)
            at_once = const.co_name.startswith("<") and const.co_name != "<lambda>"
            _walk(const, now, later, called=called or (function and not at_once))


def _is_type(value: Any) -> bool:
    """Return True for types that are no classes, such as ``Optional[int]`` and ``TypeVar``."""
    return type(value).__module__ in ("typing", "types", "typing_extensions")


def _named(kind: type) -> str:
    name = kind.__qualname__
    return name if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{name}"
