"""The ``naiad`` command and how it fails: one plain line, no traceback."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.markup import escape

from naiad import __version__
from naiad.cli import (
    artifacts,
    codegen,
    deploy,
    engine,
    gate,
    infer,
    process,
    simulate,
    train,
    weights,
)
from naiad.cli.audit import audit
from naiad.cli.bench import bench
from naiad.cli.check import check
from naiad.cli.config import config
from naiad.cli.connect import add_access
from naiad.cli.demo import demo
from naiad.cli.export import export
from naiad.cli.help import show_plain_flags
from naiad.cli.models import load, models, unload
from naiad.cli.mount import mount_groups
from naiad.cli.new import new
from naiad.cli.serve import serve
from naiad.cli.tune import tune
from naiad.console import errors as stderr
from naiad.errors import NaiadError

app = typer.Typer(
    name="naiad",
    help="Serve graph models and raw-data pipelines on NVIDIA Triton.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(serve)
app.command()(export)
app.command()(check)
app.command()(config)
app.command()(models)
app.command()(load)
app.command()(unload)
app.command()(audit)
app.command()(bench)
app.command()(tune)
app.command()(demo)
app.command()(new)
app.add_typer(deploy.app, name="deploy")
app.add_typer(engine.app, name="engine")
app.add_typer(gate.app, name="gate")
app.add_typer(infer.app, name="infer")
app.add_typer(process.app, name="process")
app.add_typer(simulate.app, name="simulate")
app.add_typer(train.app, name="train")
app.add_typer(weights.app, name="weights")
app.add_typer(artifacts.app, name="artifacts")
app.add_typer(codegen.app, name="codegen")
mount_groups(app)
add_access(app)
show_plain_flags(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"naiad {__version__}\nengine: {engine.described()}")
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


def main() -> None:
    """Run the command; a :class:`~naiad.errors.NaiadError` becomes a message and status 1."""
    try:
        app()
    except NaiadError as error:
        stderr.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        stderr.print("interrupted")
        sys.exit(130)
