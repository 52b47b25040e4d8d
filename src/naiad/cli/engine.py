"""``naiad engine``: install Triton, and make Python environments for ``model.py`` files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from naiad.console import say
from naiad.engine_release import RELEASE
from naiad.errors import EngineError

app = typer.Typer(help="Show or install the Triton that serves models.", no_args_is_help=True)


@app.command()
def show() -> None:
    """Show the version and folder of the Triton that serves models."""
    typer.echo(described())


@app.command()
def install(
    wheel: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Wheel downloaded elsewhere; by default pip or uv downloads it as configured.",
        ),
    ] = None,
    directory: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="New folder for it, to be given by --engine or NAIAD_ENGINE; by default it goes "
            "to Naiad's cache, where it is found.",
        ),
    ] = None,
) -> None:
    """Download Triton, check its hash, unpack it, and print its folder.

    The first [bold]naiad serve[/] does this by itself; use this for images and machines without a
    network.

    [bold]Examples[/]

      naiad engine install
      naiad engine install --wheel nvidia_pytriton-0.7.0-py3-none-manylinux_2_35_x86_64.whl
    """
    from naiad.triton.engine_files import install as fetch

    typer.echo(fetch(wheel, directory=directory, progress=True))


@app.command("python-environment")
def python_environment(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="New folder.")],
    packages: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PACKAGE", help="Package that the model.py imports, as pip takes it."
        ),
    ] = None,
    python: Annotated[
        str,
        typer.Option(help="Python version (3.8 to 3.12) or interpreter.", show_default=False),
    ] = "",
) -> None:
    """Make a Python environment with NumPy 1 for a repository's own model.py.

    This release of Triton's Python stub was built for NumPy 1. Pipelines do not need this.

    [bold]Examples[/]

      naiad engine python-environment numpy1 pandas
      naiad serve --model-repository models/ --python-environment numpy1
    """
    from naiad.triton.python_environment import make_environment

    made = make_environment(directory, packages or (), python=python)
    say(
        f"{directory}: Python {made.version} with NumPy {made.numpy}; give it to `naiad serve` as "
        f"--python-environment, or as EXECUTION_ENV_PATH in a config.pbtxt"
    )


def described() -> str:
    """Describe the Triton that would serve in one line, or say why there is none."""
    from naiad.triton.engine import find_engine, place_of_engine
    from naiad.triton.engine_files import wheel_here

    release = f"Triton {RELEASE.triton} (release {RELEASE.release}, {RELEASE.date})"
    try:
        if (place := place_of_engine()) is None:
            wheel_here()
            return f"{release}, downloaded by the first `naiad serve` or by `naiad engine install`"
        engine = find_engine(place)
    except EngineError as error:
        return f"none: {str(error).splitlines()[0]}"
    known = engine.version != "unknown"
    installed = f"Triton {engine.version}" if known else "a Triton of unknown version"
    return f"{release if engine.is_embedded else installed} in {place}"
