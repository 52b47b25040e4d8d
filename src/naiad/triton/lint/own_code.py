"""Checks of the Python in which a model's own ``model.py`` runs."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from naiad.engine_release import RELEASE
from naiad.errors import EngineError, RepositoryError
from naiad.triton.engine import find_engine, place_of_engine, stubs
from naiad.triton.lint.finding import Finding, error
from naiad.triton.model_config import ModelConfig, versions
from naiad.triton.own_code import common_python, own_code, own_code_in, problem_of, runs_in_stub
from naiad.triton.python_environment import EMBEDDED, PythonEnvironment, default_python

_OF_TRITON: Final = ("triton_python_backend_utils", "c_python_backend_utils")

# Run in the model's Python: print those of the given modules that cannot be found.
_FIND: Final = """
import sys
from importlib.util import find_spec

folders, names = sys.argv[1].split(":"), sys.argv[2:]
sys.path += folders
print(*(name for name in names if find_spec(name) is None))
"""


def check_environment(config: ModelConfig, python_environment: Path | None) -> Iterator[Finding]:
    """Report a model that the serving Triton's stub cannot run, or whose imports it lacks.

    Raises:
        EngineError: ``python_environment`` is not an environment.
    """
    if not runs_in_stub(config):
        return
    default = default_python(python_environment)
    try:
        model = own_code(config, default)
    except RepositoryError as problem:
        yield error(str(problem))
        return
    if place := place_of_engine():
        engine = find_engine(place, default)
        problem = problem_of(model, engine.version, stubs(engine.home))
    else:
        problem = problem_of(model, RELEASE.triton, EMBEDDED)
    if problem:
        yield error(problem)
        return
    for version in versions(config.path)[-1:]:
        yield from _check_imports(config, version, model.environment)


def check_versions(
    configs: Iterable[ModelConfig], python_environment: Path | None
) -> Iterator[Finding]:
    """Report environments of several versions of Python, as Triton has one stub for all.

    Raises:
        EngineError: ``python_environment`` is not an environment.
    """
    own = [config for config in configs if runs_in_stub(config)]
    if not own:
        return
    default = default_python(python_environment)
    try:
        common_python(own_code_in(own, default)[0], default)
    except EngineError as problem:
        yield error(str(problem))


def _check_imports(
    config: ModelConfig, version: int, environment: PythonEnvironment
) -> Iterator[Finding]:
    """Report modules that model.py imports first of all, and that its Python does not have.

    An environment in an archive, and a file that changes ``sys.path``, are left to Triton.
    """
    try:
        file = config.model_file(version)
        code = file.read_text("utf-8")
        names = _imported(code)
    except (RepositoryError, OSError, SyntaxError, ValueError):
        return  # reported already
    python = environment.executable
    if not names or "sys.path" in code or python.parent.name != "bin":
        return
    folders = f"{file.parent.absolute()}:{config.path.absolute()}"
    done = subprocess.run(
        [str(python), "-c", _FIND, folders, *names], capture_output=True, text=True, check=False
    )
    if missing := done.stdout.split():
        them = "them" if len(missing) > 1 else "it"
        yield error(
            f"{version}/{file.name} imports {', '.join(missing)}, which {python} does not have; "
            f"install {them} there, or put the folder with {them} on PYTHONPATH"
        )


def _imported(code: str) -> list[str]:
    """Return the modules that a file cannot be imported without, by the names' first part."""
    found: set[str] = set()
    for node in ast.parse(code).body:
        if isinstance(node, ast.Import):
            found |= {one.name.partition(".")[0] for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return sorted(found.difference(_OF_TRITON))
