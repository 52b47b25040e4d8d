"""Command groups that applications bring: ``naiad NAME VERB``."""

from __future__ import annotations

from importlib import import_module

import typer

from naiad.application import applications


def mount_groups(app: typer.Typer) -> None:
    """Add the command groups that applications bring; several applications may share one."""
    for spec in dict.fromkeys(known.commands for known in applications() if known.commands):
        module, _, name = spec.partition(":")
        app.add_typer(getattr(import_module(module), name))
