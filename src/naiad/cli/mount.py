"""Commands and options that applications add to the command line."""

from __future__ import annotations

from dataclasses import MISSING, fields, make_dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

from naiad.application import NoOptions, applications
from naiad.core.fields import setting


@cache
def brought_commands() -> dict[str, EntryPoint]:
    """Return the entry points of command groups by name; none is imported."""
    return {entry.name: entry for entry in sorted(entry_points(group="naiad.commands"))}


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
