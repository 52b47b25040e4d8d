"""Commands and groups whose ``--help`` shows flags without a type."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


class _PlainFlags:
    """Shows ``--flag`` where typer shows ``--flag <bool>``."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters, flags with an empty placeholder."""
        params: list[Any] = super().get_params(ctx)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType, reportAttributeAccessIssue]
        for parameter in params:
            if getattr(parameter, "is_flag", False):
                parameter.metavar = ""
        return params


class _Command(_PlainFlags, TyperCommand):
    """A command with plain flags."""


class Group(_PlainFlags, TyperGroup):
    """A group with plain flags."""


def show_plain_flags(app: typer.Typer) -> None:
    """Apply this to all commands and groups below ``app``, and to itself."""
    own = app.info.cls
    if not (isinstance(own, type) and issubclass(own, Group)):
        app.info.cls = Group
    for command in app.registered_commands:
        command.cls = _Command
    for group in app.registered_groups:
        if group.typer_instance is not None:
            show_plain_flags(group.typer_instance)
