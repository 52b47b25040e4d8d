"""Commands and groups made one by one; their ``--help`` shows flags without a type."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from naiad.cli.connect import add_access
from naiad.cli.fields import with_fields


class _PlainFlags:
    """Shows ``--flag`` where typer shows ``--flag <bool>``."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, flags with an empty placeholder."""
        params: list[Any] = super().get_params(ctx)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType, reportAttributeAccessIssue]
        for parameter in params:
            if getattr(parameter, "is_flag", False):
                parameter.metavar = ""
        return params


class _Command(_PlainFlags, TyperCommand):
    """A command with plain flags."""


class Group(_PlainFlags, TyperGroup):
    """A group with plain flags."""


def make_command(name: str, declared: Any) -> Any:
    """Return the command that a function declares, or the group that a `typer.Typer` does.

    Dataclasses among its parameters become options, see :func:`naiad.cli.fields.with_fields`;
    commands that ask a server get the options of access.
    """
    app = typer.Typer(rich_markup_mode="rich", pretty_exceptions_enable=False)
    if isinstance(declared, typer.Typer):
        app.add_typer(declared, name=name)
    else:
        app.command(name)(with_fields(declared))
    add_access(app)
    _show_plain_flags(app)
    return typer.main.get_group(app).commands[name]


def _show_plain_flags(app: typer.Typer) -> None:
    own = app.info.cls
    if not (isinstance(own, type) and issubclass(own, Group)):
        app.info.cls = Group
    for command in app.registered_commands:
        command.cls = _Command
    for group in app.registered_groups:
        if group.typer_instance is not None:
            _show_plain_flags(group.typer_instance)
