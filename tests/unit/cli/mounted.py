"""What is mounted under a command group."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from typer import Typer

from naiad.cli.main import app


def commands(*path: str) -> dict[str, Callable[..., Any]]:
    """The commands of the group at ``path``: name and function."""
    group = app
    for name in path:
        group = next(found for found in _groups(group) if found[0] == name)[1]
    return {
        str(command.name): command.callback
        for command in group.registered_commands
        if command.callback is not None
    }


def _groups(app: Typer) -> list[tuple[str, Typer]]:
    return [(str(g.name), g.typer_instance) for g in app.registered_groups if g.typer_instance]
