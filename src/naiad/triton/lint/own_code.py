"""Checks of the Python in which a model's own ``model.py`` runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from naiad.engine_release import RELEASE
from naiad.errors import RepositoryError
from naiad.triton.engine import find_engine, place_of_engine, stubs
from naiad.triton.lint.finding import Finding, error
from naiad.triton.model_config import ModelConfig
from naiad.triton.own_code import own_code, problem_of, runs_in_stub
from naiad.triton.python_environment import EMBEDDED, default_python


def check_environment(config: ModelConfig, python_environment: Path | None) -> Iterator[Finding]:
    """Report a model that the serving Triton's stub cannot run.

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
