"""Models with the user's own ``model.py``, which Triton's stub runs, and their Pythons."""

from __future__ import annotations

import ast
import re
import tarfile
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from naiad.errors import EngineError, RepositoryError
from naiad.triton.config import PIPELINE_PARAMETER
from naiad.triton.model_config import ModelConfig, versions
from naiad.triton.python_environment import (
    PARAMETER,
    REMEDY,
    PythonEnvironment,
    read_environment,
)

_OWN_STUB = "triton_python_backend_stub"  # in the model's folder it takes precedence (2.51)
_FOLDER = "$$TRITON_MODEL_DIRECTORY"  # how a configuration names the model's own folder
_NUMPY = re.compile(r"(?:site-packages/numpy-([\d.]+)\.dist-info|conda-meta/numpy-([\d.]+)-)")
_LIBPYTHON = re.compile(r"(?:^|/)lib/libpython(3\.\d+)\.so\.1\.0$")


@dataclass(frozen=True, slots=True)
class OwnCode:
    """A model that the stub runs; ``environment`` is its Python.

    ``stub`` is True if its folder has its own stub.
    """

    name: str
    environment: PythonEnvironment
    stub: bool


def runs_in_stub(config: ModelConfig) -> bool:
    """Return True if a model is the user's own ``model.py``."""
    return config.backend == "python" and PIPELINE_PARAMETER not in config.parameters


def own_code(config: ModelConfig, default: PythonEnvironment) -> OwnCode:
    """Return a model of the stub, with the environment that it names or else ``default``.

    Raises:
        EngineError: it names something that is not an environment.
    """
    environment = default
    if named := config.parameters.get(PARAMETER):
        path = Path(named.replace(_FOLDER, str(config.path.absolute())))
        try:
            if not path.exists():
                raise EngineError(f"{path} does not exist; put the environment there. {REMEDY}")
            environment = _packed(path) if path.is_file() else read_environment(path)
        except EngineError as error:
            raise config.wrong(f'parameters["{PARAMETER}"]: {error}') from None
    return OwnCode(config.name, environment, (config.path / _OWN_STUB).is_file())


def own_code_in(
    configs: Iterable[ModelConfig], default: PythonEnvironment
) -> tuple[list[OwnCode], dict[str, str]]:
    """Return the models that run in the stub; and why others of them cannot, by name."""
    models: list[OwnCode] = []
    refused: dict[str, str] = {}
    for config in filter(runs_in_stub, configs):
        try:
            models.append(own_code(config, default))
        except RepositoryError as error:  # noqa: PERF203 - all of them are reported
            refused[config.name] = str(error)
    return models, refused


def common_python(models: Iterable[OwnCode], default: PythonEnvironment) -> PythonEnvironment:
    """Return the Python whose version the stub needs: Triton has one stub for all models.

    Raises:
        EngineError: the models need several versions of Python.
    """
    pythons = {model.environment.version: model for model in models if not model.stub}
    if len(pythons) > 1:
        listed = ", ".join(f"{m.name}: Python {version}" for version, m in pythons.items())
        raise EngineError(
            f"models with their own model.py need environments with the same version of Python "
            f"({listed}), or their own {_OWN_STUB} in the model's folder"
        )
    return next((model.environment for model in pythons.values()), default)


def problem_of(model: OwnCode, triton: str, stubs: Collection[str]) -> str:
    """Return why a model cannot run, and the remedy; "" if it can."""
    known = {model.environment.version} if model.stub else stubs
    problem = model.environment.problem(triton, known)
    return f"its model.py needs Triton's Python stub: {problem}. {REMEDY}" if problem else ""


def completes_itself(config: ModelConfig) -> bool:
    """Return True if a ``model.py`` of the user's has ``auto_complete_config``."""
    if not runs_in_stub(config):
        return False
    found = versions(config.path) if config.path.is_dir() else []
    try:
        code = config.model_file(found[-1]).read_bytes() if found else b""
        tree = ast.parse(code)
    except (RepositoryError, OSError, SyntaxError, ValueError):
        return False  # Triton says why
    return any(
        isinstance(part, ast.FunctionDef) and part.name == "auto_complete_config"
        for node in tree.body
        if isinstance(node, ast.ClassDef)
        for part in node.body
    )


def _packed(archive: Path) -> PythonEnvironment:
    """Return the Python of an archive made by conda-pack, from the names in it."""
    version, numpy = "", ""
    try:
        with tarfile.open(archive) as opened:
            for member in opened:
                if found := _LIBPYTHON.search(member.name):
                    version = found[1]
                elif found := _NUMPY.search(member.name):
                    numpy = found[1] or found[2]
                if version and numpy:
                    break
    except (OSError, EOFError, tarfile.TarError) as error:
        raise EngineError(f"{archive} cannot be read: {error}") from None
    if not version:
        raise EngineError(f"{archive} does not contain Python: it has no lib/libpython3.N.so.1.0")
    return PythonEnvironment(archive, version, numpy, archive)
