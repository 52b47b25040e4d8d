"""The commands that Naiad's messages and help propose."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support import forks

import naiad
from naiad.cli.example_call import example_call
from naiad.triton.config import PIPELINE_PARAMETER
from naiad.triton.server import Server

NAIAD = forks.naiad()
SOURCE = Path(naiad.__file__).parent

# Between backticks, or from the word to the end of the line, a comment or a clause.
_QUOTED = re.compile(r"`naiad ([^`]+)`")
_BARE = re.compile(r"(?<![`\w./-])naiad ([a-z]+(?= |$)[^`\n;#]*)")


def proposed() -> Iterator[tuple[str, str]]:
    """Yield each command in the source's texts, without ``naiad``, and its place.

    A formatted value is X. Docstrings are left out: those of commands are their help.
    """
    for file in sorted(SOURCE.rglob("*.py")):
        text = file.read_text("utf-8")
        if not re.search("naiad (?!import)", text):
            continue
        tree = ast.parse(text)
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


def run(call: str, folder: Path) -> list[str]:
    """Run what a user would paste; return the output of each command."""
    if call.startswith("import "):
        commands = [[forks.python(), "-c", call]]
    else:
        commands = [[*NAIAD, *shlex.split(line)[1:]] for line in call.splitlines()]
    folder.mkdir(exist_ok=True)
    told: list[str] = []
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
        assert done.returncode == 0, f"{call}\n{done.stdout}{done.stderr}"
        told.append(done.stdout)
    return told


def example_of(server: Server, model: str) -> str:
    """Return what `naiad serve` proposes to try a model with."""
    parameters = server.client().config(model).get("parameters", {})
    spec = parameters.get(PIPELINE_PARAMETER, {}).get("string_value", "")
    request = server.probes.get(model)
    return example_call(server.own_url, server.grpc_url, model, request, spec)
