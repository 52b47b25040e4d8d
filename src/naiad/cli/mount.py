"""What applications bring to the command line: groups of commands, and options of others."""

from __future__ import annotations

from dataclasses import MISSING, fields, make_dataclass
from functools import cache
from importlib import import_module
from typing import Any, Literal

import typer

from naiad.application import NoOptions, applications
from naiad.core.fields import setting


@cache
def brought_groups() -> dict[str, typer.Typer]:
    """Return the command groups that applications bring; several applications may share one."""
    groups: dict[str, typer.Typer] = {}
    for spec in dict.fromkeys(known.commands for known in applications() if known.commands):
        module, _, name = spec.partition(":")
        group = getattr(import_module(module), name)
        groups[group.info.name] = group
    return groups


def brought_options(kind: Literal["ServeOptions", "ExportOptions"]) -> type:
    """Return a dataclass with a field for each application that has options of this kind."""
    found = ((app, getattr(app, kind)) for app in applications())
    return make_dataclass(
        kind,
        [
            (app.name, options, setting(MISSING, app.summary))
            for app, options in found
            if options is not NoOptions
        ],
    )


def specs_of(brought: Any) -> list[str]:
    """Return the specs of the pipelines that the values of such a dataclass ask for."""
    options = {one.name: getattr(brought, one.name) for one in fields(brought)}
    asked = (app.specs(options[app.name]) for app in applications() if app.name in options)
    return [spec for specs in asked for spec in specs]
