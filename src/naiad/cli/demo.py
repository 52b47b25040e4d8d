"""``naiad demo``: run an application from end to end, on the real Triton."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from naiad.application import applications
from naiad.console import say
from naiad.tasks.task import Simulates, Task


def demos() -> dict[str, Callable[[Path], None]]:
    """Return all demos by name: applications' own, and one for each task that simulates."""
    found: dict[str, Callable[[Path], None]] = {}
    for app in sorted(applications(), key=lambda app: not app.showcase):
        if issubclass(app, Task) and issubclass(app, Simulates):
            found[app.name] = partial(_simulated, app)
        for name, spec in app.demos.items():
            found[name] = partial(_own, spec)
    return found


def _print_list(wanted: bool) -> None:
    if wanted:
        typer.echo("\n".join(demos()))
        raise typer.Exit


def demo(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="Name of the demo; by default the first that --list lists.",
            show_default=False,
        ),
    ] = None,
    directory: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for results and pictures.")
    ] = Path("demo-output"),
    names: Annotated[
        bool,
        typer.Option("--list", callback=_print_list, is_eager=True, help="List all demos."),
    ] = False,
) -> None:
    """Start Triton with an application, send it sample requests, print the answers, shut down.

    It needs neither a network nor your data: weights and samples come with Naiad. Most of them are
    synthetic, and say so.

    [bold]Examples[/]

      naiad demo --output /tmp/naiad-demo
      naiad demo zero_shot
      naiad demo --list
    """
    found = demos()
    chosen = name or next(iter(found))
    if chosen not in found:
        raise typer.BadParameter(f"no demo {name!r}; there are {', '.join(found)}")
    found[chosen](directory)
    if name is None:
        say(("more", "bold"), " naiad demo --list")


def _own(spec: str, directory: Path) -> None:
    module, _, function = spec.partition(":")
    getattr(import_module(module), function)(directory)


def _simulated(kind: type[Task[Any, Any]], directory: Path) -> None:
    from naiad.tasks.demo import run

    run(kind, directory)
