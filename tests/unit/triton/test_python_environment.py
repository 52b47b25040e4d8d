"""Pythons for a repository's own ``model.py``."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from naiad.errors import EngineError
from naiad.triton import python_environment
from naiad.triton.python_environment import (
    EMBEDDED,
    PythonEnvironment,
    default_python,
    make_environment,
    read_environment,
    running_python,
    takes_numpy_2,
)

GOOD = PythonEnvironment(Path("/env/bin/python3"), "3.11", "1.26.4", Path("/lib/libpython3.11.so"))


def test_the_running_python_is_what_it_says_of_itself_as_another():
    running = running_python()
    assert running.version == "{}.{}".format(*sys.version_info)
    other = read_environment(Path(sys.prefix))
    assert other == replace(running, executable=other.executable)
    assert other.numpy[0].isdigit()


@pytest.mark.parametrize(
    ("python", "triton", "problem"),
    [
        (GOOD, "2.51.0", ""),
        (replace(GOOD, numpy="2.4.6"), "2.51.0", "has NumPy 2.4.6, .* it needs NumPy 1"),
        (replace(GOOD, numpy="2.4.6"), "unknown", "has NumPy 2.4.6"),
        (replace(GOOD, numpy="2.4.6"), "2.60.0", ""),
        (replace(GOOD, numpy=""), "2.60.0", "has no NumPy"),
        (replace(GOOD, version="3.14"), "2.51.0", "is Python 3.14, .* stubs for 3.8, .*, 3.13"),
        (replace(GOOD, libpython=None), "2.51.0", r"libpython3.11.so.1.0 was not found; .*conda"),
    ],
)
def test_what_keeps_a_stub_from_running_is_said(
    python: PythonEnvironment, triton: str, problem: str
):
    assert re.fullmatch(f".*{problem}.*" if problem else "", python.problem(triton, EMBEDDED))


def test_numpy_2_is_for_the_stubs_of_2_52_and_later():
    assert [takes_numpy_2(v) for v in ("2.51.0", "2.52.0", "2.9.0", "unknown")] == [
        *(False, True, False, False)
    ]


def test_an_environment_that_is_none_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(EngineError, match=r"is not a Python environment: it has no bin/python3"):
        read_environment(tmp_path)
    python = tmp_path / "bin" / "python3"
    python.parent.mkdir()
    python.write_text("#!/bin/sh\nexit 3\n")
    python.chmod(0o755)
    with pytest.raises(EngineError, match=r"bin/python3 does not run: .* exit status 3"):
        read_environment(tmp_path)
    monkeypatch.setenv("NAIAD_PYTHON_ENVIRONMENT", str(tmp_path))
    with pytest.raises(EngineError, match="does not run"):
        default_python()


def test_the_default_is_named_by_the_environment_or_is_this_python(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NAIAD_PYTHON_ENVIRONMENT", sys.prefix)
    assert default_python().executable == Path(sys.prefix, "bin", "python3")
    monkeypatch.delenv("NAIAD_PYTHON_ENVIRONMENT")
    assert default_python() == running_python()
    assert default_python(Path(sys.prefix)).executable == Path(sys.prefix, "bin", "python3")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment, made once: that takes a quarter of a minute."""
    if not list(python_environment._candidates("")):
        pytest.skip("no Python 3.8 to 3.12 with its shared library is here")
    folder = tmp_path_factory.mktemp("environments") / "numpy1"
    make_environment(folder)
    return folder


@pytest.mark.slow
def test_an_environment_that_is_made_has_numpy_1_and_its_shared_library(environment: Path):
    made = read_environment(environment)
    assert made.numpy.startswith("1.")
    assert made.problem("2.51.0", EMBEDDED) == ""
    assert (environment / "bin" / "activate").exists(), "as EXECUTION_ENV_PATH needs it"
    assert (environment / "lib" / f"libpython{made.version}.so.1.0").exists()
    with pytest.raises(EngineError, match="exists; choose a new folder"):
        make_environment(environment)


@pytest.mark.slow
def test_an_environment_that_cannot_be_made_leaves_nothing(
    tmp_path: Path, environment: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(EngineError, match=r"pip could not install numpy<2, no-such-package"):
        make_environment(tmp_path / "numpy1", ["no-such-package"])
    monkeypatch.setenv("PATH", os.defpath)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python3"))
    with pytest.raises(EngineError, match=r"with its shared library .* \(/no/python\)"):
        make_environment(tmp_path / "numpy1", python="/no/python")
    assert list(tmp_path.iterdir()) == []
