"""What the applications bring to the command line.

A function of an application's cli module is a command of a group: ``naiad VERB APPLICATION``. A
``typer.Typer`` called ``commands`` is a group of its own: ``naiad NAME VERB``.
"""

from __future__ import annotations

from importlib import import_module

import typer

from naiad.application import applications
from naiad.cli import verbs


def group(verb: str, about: str) -> typer.Typer:
    """The command group ``naiad VERB`` with a command for every application that has one."""
    app = verbs.group(verb, about)
    mount(app, verb)
    return app


def mount(app: typer.Typer, function: str) -> None:
    """Add each application's ``function``, from its cli module, as a command of its name.

    Those modules are imported here, as typer reads the options from the functions; so they import
    nothing heavy but inside their functions.
    """
    for application in applications():
        if application.cli is None:
            continue
        command = getattr(import_module(application.cli), function, None)
        if command is not None:
            app.command(application.name)(command)


def mount_groups(app: typer.Typer) -> None:
    """Add the command groups that applications bring; several applications may share one."""
    modules = dict.fromkeys(application.cli for application in applications() if application.cli)
    for module in modules:
        commands = getattr(import_module(module), "commands", None)
        if commands is not None:
            app.add_typer(commands)
