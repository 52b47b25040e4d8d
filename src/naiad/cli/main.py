"""The ``naiad`` command and how it fails: one plain line, no traceback."""

from __future__ import annotations

import inspect
import os
import sys
import warnings
from importlib import import_module
from io import TextIOWrapper
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from naiad import __version__
from naiad.cli.help import Group, make_command
from naiad.errors import NaiadError

COMMANDS = {
    "serve": "naiad.cli.serve:serve",
    "debug": "naiad.cli.debug:debug",
    "export": "naiad.cli.export:export",
    "check": "naiad.cli.check:check",
    "config": "naiad.cli.config:config",
    "models": "naiad.cli.models:models",
    "load": "naiad.cli.models:load",
    "unload": "naiad.cli.models:unload",
    "explain": "naiad.cli.explain:explain",
    "audit": "naiad.cli.audit:audit",
    "bench": "naiad.cli.bench:bench",
    "tune": "naiad.cli.tune:tune",
    "demo": "naiad.cli.demo:demo",
    "new": "naiad.cli.new:new",
    "deploy": "naiad.cli.deploy:app",
    "engine": "naiad.cli.engine:app",
    "gate": "naiad.cli.gate:app",
    "infer": "naiad.cli.infer:app",
    "process": "naiad.cli.process:app",
    "watch": "naiad.cli.watch:app",
    "simulate": "naiad.cli.simulate:app",
    "train": "naiad.cli.train:app",
    "weights": "naiad.cli.weights:app",
    "artifacts": "naiad.cli.artifacts:app",
    "ui": "naiad.cli.ui:ui",
    "mcp": "naiad.cli.mcp:mcp",
    "codegen": "naiad.cli.codegen:app",
}
"""The commands and groups that are not an application's; each is imported when it is asked for."""


class _Root(Group):
    """The command ``naiad``, whose commands are imported when they are asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        from naiad.cli.mount import brought_commands

        return [*COMMANDS, *brought_commands()]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            self.commands = dict.fromkeys(self.list_commands(ctx))  # from which typer suggests
        declared = _declared(cmd_name)
        return None if declared is None else make_command(cmd_name, declared)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        # Commands are listed by their docstrings: their options may need all applications.
        listed = [TyperCommand(name, help=_help(name)) for name in self.list_commands(ctx)]
        about: dict[str, Any] = {"help": self.help, "params": self.params}
        Group(commands=listed, rich_markup_mode="rich", **about).format_help(ctx, formatter)


def _declared(name: str) -> Any:
    """Return the function or the `typer.Typer` of a command, or None."""
    if name in COMMANDS:
        module, _, attribute = COMMANDS[name].partition(":")
        return getattr(import_module(module), attribute)
    from naiad.cli.mount import brought_commands

    entry = brought_commands().get(name)
    return None if entry is None else entry.load()


def _help(name: str) -> str | None:
    try:
        declared = _declared(name)
    except Exception as error:  # somebody else's package must not break ours
        return f"cannot be imported: {error}"
    return declared.info.help if isinstance(declared, typer.Typer) else inspect.getdoc(declared)


app = typer.Typer(
    name="naiad",
    cls=_Root,
    help="Serve graph models and raw-data pipelines on NVIDIA Triton.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from naiad.cli.engine import described

        typer.echo(f"naiad {__version__}\nengine: {described()}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the versions and exit."
        ),
    ] = False,
) -> None:
    """Serve graph models and raw-data pipelines on NVIDIA Triton."""


def show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: Any
) -> None:
    """Print a warning; for a `UserWarning`, which is about the user's data, only its text."""
    if category is UserWarning:
        from naiad.console import warn

        warn(str(message))
    else:
        sys.stderr.write(warnings.formatwarning(message, category, filename, lineno))


def main() -> None:
    """Run the command; a :class:`~naiad.errors.NaiadError` becomes a message and status 1.

    So does an error of the system that names a file, such as a folder that is not writable.

    An error of a user's file is shown with the traceback from its first line in it. A warning is a
    line.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names may be of any bytes
    warnings.showwarning = show_warning
    try:
        app()
    except NaiadError as error:
        from naiad.console import tell

        tell(("error:", "bold red"), f" {error}")
        sys.exit(1)
    except OSError as error:
        if error.filename is None:
            raise
        from naiad.console import tell

        # The path is one that the user gave, or below it: it is a folder, say, or not writable.
        where = os.fsdecode(error.filename) if isinstance(error.filename, bytes) else error.filename
        tell(("error:", "bold red"), f" {where}: {error.strerror}")
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        from naiad.tracebacks import traceback_of

        if not (text := traceback_of(error)):
            raise
        print(text, file=sys.stderr)
        sys.exit(1)
