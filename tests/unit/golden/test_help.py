"""The help of every command is unchanged."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from enum import Enum
from typing import Any

import pytest
import typer.main
from tests.support.command import subcommands
from tests.support.golden import Golden, stored

from naiad import __version__
from naiad.cli.main import app


def commands(command: Any, path: str = "naiad") -> Iterator[tuple[str, Any]]:
    """Yield commands and groups below ``command`` with their paths, as in ``naiad.infer.gat``."""
    yield path, command
    for name, below in subcommands(command).items():
        yield from commands(below, f"{path}.{name}")


COMMANDS = dict(commands(typer.main.get_command(app)))


def rendered(path: str, command: Any) -> str:
    """Return the contents of ``--help``, without typer's layout."""
    parts = [path.replace(".", " "), inspect.cleandoc(command.help or "")]
    parts += [described(p) for p in command.params if not p.name.endswith("_completion")]
    below = subcommands(command)
    parts += [
        f"{name}: {found.get_short_help_str(200)}{' (hidden)' * found.hidden}"
        for name, found in below.items()
    ]
    return "\n\n".join(filter(None, parts)).replace(__version__, "VERSION") + "\n"


def described(parameter: Any) -> str:
    """Describe one argument or option: names, values, default and help."""
    facts = {
        "type": kind_of(parameter),
        "metavar": parameter.metavar,
        "at least": parameter.min,
        "at most": parameter.max,
        "default": plain(parameter.default),
        "environment": parameter.envvar,
        "panel": parameter.rich_help_panel,
    }
    flags = ("required", "multiple", "is_flag", "hidden")
    said = [
        f"{name} {value}" for name, value in facts.items() if value not in (None, "", "[]", "False")
    ]
    said += [flag for flag in flags if getattr(parameter, flag, False)]
    names = ", ".join((*parameter.opts, *parameter.secondary_opts))
    return f"{parameter.param_type_name} {names}\n  {'; '.join(said)}\n  {parameter.help or ''}"


def kind_of(parameter: Any) -> str:
    """Return a value's type, such as ``int`` or ``list[Path]``, or an enumeration's members."""
    annotation = parameter.type_descriptor.annotation
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return "|".join(str(member.value) for member in annotation)
    return inspect.formatannotation(annotation).replace("pathlib.", "")


def plain(default: Any) -> str | None:
    """Return a default as typed; None without one, or if it is found at each run."""
    return None if default is None or callable(default) else str(getattr(default, "value", default))


@pytest.mark.parametrize("path", sorted({*COMMANDS, *stored("help")}))
def test_help_is_unchanged(path: str, golden: Golden) -> None:
    command = COMMANDS.get(path)
    golden.check(f"help/{path}.txt", None if command is None else rendered(path, command))
