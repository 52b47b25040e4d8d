"""``naiad demo``: an application from end to end, on the real Triton."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from naiad.application import applications
from naiad.console import output
from naiad.tasks.task import Simulates, Task

_DEFAULT = "nugraph3"


def demos() -> dict[str, Callable[[Path], None]]:
    """Return all demos by name: applications' own, and one for each task that simulates."""
    found: dict[str, Callable[[Path], None]] = {}
    for app in applications():
        if issubclass(app, Task) and issubclass(app, Simulates):
            found[app.name] = partial(_simulated, app)
        for name, spec in app.demos.items():
            found[name] = partial(_own, spec)
    return dict(sorted(found.items()))


def _print_list(wanted: bool) -> None:
    if wanted:
        typer.echo("\n".join(demos()))
        raise typer.Exit


def demo(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name of the demo, as --list lists them.")
    ] = _DEFAULT,
    directory: Annotated[
        Path, typer.Option("--output", "-o", help="Where results and pictures go.")
    ] = Path("demo-output"),
    names: Annotated[
        bool,
        typer.Option("--list", callback=_print_list, is_eager=True, help="List all demos."),
    ] = False,
) -> None:
    """Start Triton with an application, send it sample requests, print the answers, shut down.

    Without a NAME it is NuGraph3: simulated events are labelled and drawn. It needs no network and
    no data of yours: weights and samples come with Naiad. Most of them are made up, and say so.

    [bold]Examples[/]

      naiad demo --output /tmp/naiad-demo
      naiad demo zero_shot
      naiad demo --list
    """
    found = demos()
    if name not in found:
        raise typer.BadParameter(f"no demo {name!r}; there are {', '.join(found)}")
    found[name](directory)
    if name == _DEFAULT:
        output.print("[bold]more[/] naiad demo --list", highlight=False)


def _own(spec: str, directory: Path) -> None:
    module, _, function = spec.partition(":")
    getattr(import_module(module), function)(directory)


def _simulated(kind: type[Task[Any, Any]], directory: Path) -> None:
    from naiad.tasks.demo import run

    run(kind, directory)
