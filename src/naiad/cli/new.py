"""``naiad new``: write the files to start your own pipeline from."""

from __future__ import annotations

import keyword
import re
import shlex
import sys
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from naiad.errors import NaiadError

# A file with one of these names would shadow a module that the pipeline imports; a class with one
# of these names would replace one that the file uses.
TAKEN_FILES = sys.stdlib_module_names | {"naiad", "numpy", "pytest", "torch"}
TAKEN_CLASSES = {"Any", "Mapping", "Network", "Tensor"}


def new(
    name: Annotated[str, typer.Argument(help="Name of the model, such as my_model.")],
    directory: Annotated[
        Path, typer.Option("--directory", "-d", help="Folder to write to; created if missing.")
    ] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Overwrite existing files.")] = False,
) -> None:
    """Write a commented, working pipeline NAME.py and its test test_NAME.py."""
    if keyword.iskeyword(name) or not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name):
        raise typer.BadParameter(
            f"{name!r} is not a model name: use lower-case letters, digits and single underscores, "
            "such as my_model",
            param_hint="NAME",
        )
    class_name = "".join(part.capitalize() for part in name.split("_"))
    if name in TAKEN_FILES or class_name in TAKEN_CLASSES:
        raise typer.BadParameter(
            f"{name} is the name of something the pipeline file imports or defines; choose another",
            param_hint="NAME",
        )
    targets = {
        directory / f"{name}.py": "my_model.py",
        directory / f"test_{name}.py": "test_my_model.py",
    }
    if not force and (existing := [str(path) for path in targets if path.exists()]):
        raise NaiadError(f"{' and '.join(existing)} exists; --force overwrites it")
    directory.mkdir(parents=True, exist_ok=True)
    for path, template in targets.items():
        text = (files("naiad.cli") / "templates" / template).read_text("utf-8")
        path.write_text(text.replace("MyModel", class_name).replace("my_model", name), "utf-8")
    pipeline, test = (shlex.quote(str(path)) for path in targets)
    typer.echo(
        f"Wrote {pipeline} and {test}. Try them:\n"
        f"  pytest {test}\n"
        f"  naiad serve {pipeline}:{class_name}"
    )
