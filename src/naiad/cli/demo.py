"""``naiad demo``: an application from end to end, on the real Triton."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from naiad.applications import demos
from naiad.console import output

_DEFAULT = "nugraph3"
_OTHERS = ", ".join(name for name in demos() if name != _DEFAULT)


def demo(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help=f"{_DEFAULT}; or {_OTHERS}.")
    ] = _DEFAULT,
    directory: Annotated[
        Path, typer.Option("--output", "-o", help="Where results and pictures go.")
    ] = Path("demo-output"),
) -> None:
    """Start Triton with an application, send it sample requests, print the answers, shut down.

    Without a NAME it is NuGraph3: simulated events are labelled and drawn. It needs no network and
    no data of yours: weights and samples come with Naiad. Most of them are made up, and say so.

    [bold]Examples[/]

      naiad demo --output /tmp/naiad-demo
      naiad demo zero_shot
      naiad demo movies
    """
    found = demos()
    if name not in found:
        raise typer.BadParameter(f"no demo {name!r}; there are {', '.join(found)}")
    module, _, function = found[name].partition(":")
    getattr(import_module(module), function)(directory)
    if name == _DEFAULT:
        output.print(f"[bold]more[/] naiad demo NAME, of {_OTHERS}", highlight=False)
