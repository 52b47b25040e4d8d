"""Pythons in which Triton's stub can run a repository's own ``model.py``.

The stub is one program per Python version, linked with that Python's shared library, that runs the
first ``python3`` on PATH. That of Triton 24.10 was built for NumPy 1: with NumPy 2 a BYTES input
crashes it (its length is read as 16,843,009), and a BYTES output arrives empty. Later stubs of
Triton work with both (from 24.11 on, by their source).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from naiad.engine_release import RELEASE, numbers_of
from naiad.errors import EngineError
from naiad.triton import python_facts

NUMPY_1: Final = "numpy<2"
REMEDY: Final = (
    "`naiad engine python-environment DIR` makes one; pass it with --python-environment DIR"
)
PARAMETER: Final = "EXECUTION_ENV_PATH"
"""Parameter of a model's configuration that names its environment."""

EMBEDDED: Final = tuple(f"3.{minor}" for minor in range(8, 14))
"""Python versions that the embedded Triton has stubs for."""

_VERSIONS: Final = ("3.12", "3.11", "3.10", "3.9", "3.8")  # that NumPy 1 has wheels for
_BINARY: Final = ("--only-binary", "numpy")  # building NumPy takes minutes, and fails
_TRITON_WITH_NUMPY_2: Final = (2, 52)


@dataclass(frozen=True, slots=True)
class PythonEnvironment:
    """A Python, with what the stub needs.

    Attributes:
        executable: the program.
        version: such as ``3.11``.
        numpy: the version of its NumPy; "" without NumPy.
        libpython: its shared library, which some distributions package separately, or None.
    """

    executable: Path
    version: str
    numpy: str
    libpython: Path | None

    def problem(self, triton: str, stubs: Collection[str]) -> str:
        """Return why no stub of that Triton version can run in it; "" if one can.

        ``stubs`` are the Python versions that there are stubs for.
        """
        if not self.numpy:
            return f"{self.executable} has no NumPy, which the stub needs"
        if int(self.numpy.partition(".")[0]) >= 2 and not takes_numpy_2(triton):
            return (
                f"{self.executable} has NumPy {self.numpy}, with which the stub of Triton {triton} "
                f"gives wrong answers; it needs NumPy 1"
            )
        if self.version not in stubs:
            known = ", ".join(sorted(stubs, key=numbers_of)) or "none"
            return (
                f"{self.executable} is Python {self.version}, but this Triton has stubs for {known}"
            )
        if self.libpython is None:
            return (
                f"the stub needs the shared library of {self.executable}, but "
                f"libpython{self.version}.so.1.0 was not found; {_package(self.version)}"
            )
        return ""


def takes_numpy_2(triton: str) -> bool:
    """Return True if a Triton version's stub works with NumPy 2; False if unknown."""
    return numbers_of(triton) >= _TRITON_WITH_NUMPY_2


@cache
def running_python() -> PythonEnvironment:
    """Return the running Python."""
    return _environment(Path(sys.executable), python_facts.facts())


def default_python(directory: Path | None = None) -> PythonEnvironment:
    """Return the Python for a ``model.py`` that names no environment.

    It is that in ``directory``, by default ``$NAIAD_PYTHON_ENVIRONMENT``, or else the running
    Python.

    Raises:
        EngineError: as for `read_environment`.
    """
    named = directory or os.environ.get("NAIAD_PYTHON_ENVIRONMENT")
    return read_environment(Path(named).expanduser()) if named else running_python()


def read_environment(directory: Path) -> PythonEnvironment:
    """Return the Python of an environment, a folder with a ``bin/python3``.

    Raises:
        EngineError: not an environment, or its Python does not run.
    """
    executable = directory.absolute() / "bin" / "python3"
    if not executable.exists():
        raise EngineError(f"{directory} is not a Python environment: it has no bin/python3")
    return _look(executable)


def make_environment(
    directory: Path, packages: Sequence[str] = (), *, python: str = ""
) -> PythonEnvironment:
    """Make an environment with NumPy 1 in the new folder ``directory``.

    Use ``venv`` and pip, as configured, with a Python of this machine; otherwise uv, which may
    download a Python. Both report on standard error.

    Args:
        directory: a folder that does not exist yet.
        packages: further requirements of the model, for pip.
        python: a version such as ``3.11``, or a program; by default the newest suitable one.

    Raises:
        EngineError: the environment cannot be made; nothing is left behind.
    """
    directory = directory.absolute()
    if directory.exists():
        raise EngineError(f"{directory} exists; choose a new folder")
    try:
        _make(directory, [NUMPY_1, *packages], python)
        made = read_environment(directory)
        if problem := made.problem(RELEASE.triton, EMBEDDED):
            raise EngineError(f"{problem}; choose another Python with --python")
        # With `EXECUTION_ENV_PATH` Triton looks for it there, as in conda's environments.
        link = directory / "lib" / f"libpython{made.version}.so.1.0"
        if made.libpython is not None and not link.exists():
            link.symlink_to(made.libpython)
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise
    return made


def _make(directory: Path, packages: Sequence[str], python: str) -> None:
    program = str(directory / "bin" / "python3")
    base = next(_candidates(python), None)
    if base is not None and _run(str(base.executable), "-m", "venv", str(directory)):
        pip = (program, "-m", "pip", "install", "--disable-pip-version-check", "--no-input")
        if not _run(*pip, *_BINARY, *packages):
            raise EngineError(f"pip could not install {', '.join(packages)}; see above")
        return
    shutil.rmtree(directory, ignore_errors=True)
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv is None:
        raise EngineError(
            f"no Python {_VERSIONS[-1]} to {_VERSIONS[0]} with its shared library and venv was "
            f"found ({python or 'on PATH'}), and no uv to download one: pip install uv"
        )
    wanted = str(base.executable) if base is not None else python or _VERSIONS[0]
    made = _run(uv, "venv", "--python", wanted, str(directory))
    if not made or not _run(uv, "pip", "install", "--python", program, *_BINARY, *packages):
        raise EngineError(f"uv could not make {directory} with {', '.join(packages)}; see above")


def _candidates(python: str) -> Iterator[PythonEnvironment]:
    """Yield suitable Pythons of this machine, the running one first."""
    named = [python] if os.sep in python else []
    wanted = [python] if python and not named else _VERSIONS
    names = named or [sys.executable, *(f"python{version}" for version in wanted)]
    for name in names:
        found = shutil.which(name)
        if found is None:
            continue
        try:
            one = _look(Path(found))
        except EngineError:  # a shim for a missing Python
            continue
        if one.libpython is not None and (named or one.version in wanted):
            yield one


def _run(*command: str) -> bool:
    return subprocess.run(command, stdout=sys.stderr.fileno(), check=False).returncode == 0


def _look(executable: Path) -> PythonEnvironment:
    try:
        done = subprocess.run(
            [str(executable), "-E", python_facts.__file__],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return _environment(executable, json.loads(done.stdout))
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise EngineError(f"{executable} does not run: {error}") from None


def _environment(executable: Path, facts: Mapping[str, Any]) -> PythonEnvironment:
    name = f"libpython{facts['version']}.so.1.0"  # the name that the stub is linked with
    folders = _library_directories(executable, facts)
    return PythonEnvironment(
        executable=executable,
        version=facts["version"],
        numpy=facts["numpy"],
        libpython=next((path for folder in folders if (path := folder / name).is_file()), None),
    )


def _library_directories(executable: Path, facts: Mapping[str, Any]) -> Iterator[Path]:
    """Yield folders that may have a Python's shared library; its own build's first."""
    yield from map(Path, filter(None, facts["variables"]))
    yield from (Path(prefix, "lib") for prefix in facts["prefixes"])
    yield executable.resolve().parents[1] / "lib"
    if facts["multiarch"]:
        yield Path("/usr/lib", facts["multiarch"])
    yield from map(Path, ("/usr/lib64", "/usr/lib", "/usr/local/lib", "/usr/local/lib64"))
    yield from (Path(p) for p in os.environ.get("LD_LIBRARY_PATH", "").split(":") if p)


def _package(version: str) -> str:
    """Return how to get the shared library."""
    if Path("/etc/debian_version").exists():
        return f"sudo apt install libpython{version} (conda and uv's Pythons have it too)"
    if shutil.which("dnf"):
        return f"sudo dnf install python{version}-libs (conda and uv's Pythons have it too)"
    return "use a Python built with --enable-shared (conda and uv's Pythons are)"
