"""The commands that Naiad's messages and help propose."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import naiad

SOURCE = Path(naiad.__file__).parent

# Between backticks, or from the word to the end of the line, a comment or a clause.
_QUOTED = re.compile(r"`naiad ([^`]+)`")
_BARE = re.compile(r"(?<![`\w./-])naiad ([a-z]+(?= |$)[^`\n;#]*)")


def proposed() -> Iterator[tuple[str, str]]:
    """Yield each command in the source's texts, without ``naiad``, and its place.

    A formatted value is X. Docstrings are left out: those of commands are their help.
    """
    for file in sorted(SOURCE.rglob("*.py")):
        tree = ast.parse(file.read_text("utf-8"))
        documents = {
            node.body[0].value
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        inner = {
            id(one)
            for node in ast.walk(tree)
            if isinstance(node, ast.JoinedStr)
            for one in node.values
        }
        for node in ast.walk(tree):
            if node in documents or id(node) in inner or not isinstance(node, ast.expr):
                continue
            for line in _text(node).splitlines():
                found = _QUOTED.findall(line) or _BARE.findall(line)
                for command in found:
                    yield f"{file.relative_to(SOURCE)}:{node.lineno}", command.strip().rstrip(".,:")


def examples(command: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the examples in the help of a command and of those below it, without ``naiad``."""
    for line in re.findall(r"^ +(?:.+\| )?naiad (.+)$", command.help or "", re.MULTILINE):
        yield path or "naiad", line
    if hasattr(command, "list_commands"):
        for name in command.list_commands(None):
            yield from examples(command.get_command(None, name), f"{path} {name}".strip())


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(one) if isinstance(one, ast.Constant) else "X" for one in node.values)
    return ""
